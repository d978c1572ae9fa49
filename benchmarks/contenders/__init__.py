"""Who carries the changes: this pipeline, Debezium's JDBC sink, and a statement an event."""
