#!/usr/bin/env bash
exec /opt/kafka/bin/java-run org.apache.kafka.connect.cli.ConnectDistributed "$@"
