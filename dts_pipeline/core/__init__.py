"""The rules of the pipeline as pure functions: no Dagster, Kafka, SQLAlchemy or environment."""
