# Kafka Connect with Debezium's connectors, in the versions that the tests run, sums checked.
FROM maven:3.9.11-eclipse-temurin-21 AS jars
WORKDIR /jars
COPY deploy/local/pom.xml deploy/local/jars.sha256 ./
RUN mvn -q -B -Pdebezium dependency:copy-dependencies -DincludeScope=runtime \
        -DoutputDirectory=/jars/plugins/debezium -DexcludeGroupIds=org.apache.kafka,org.slf4j && \
    grep ' plugins/' jars.sha256 | sha256sum --check --quiet

FROM apache/kafka:4.3.1
COPY --from=jars /jars/plugins /opt/connect/plugins
COPY deploy/docker/connect.properties /opt/connect/connect.properties
ENV LOG_DIR=/tmp/logs KAFKA_HEAP_OPTS=-Xmx1g
EXPOSE 8083
CMD ["/opt/kafka/bin/connect-distributed.sh", "/opt/connect/connect.properties"]
