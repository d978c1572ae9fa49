"""Real servers without containers: two databases, Kafka and Kafka Connect."""
