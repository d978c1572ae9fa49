"""Everything that talks to Kafka, Kafka Connect, MySQL or MariaDB."""
