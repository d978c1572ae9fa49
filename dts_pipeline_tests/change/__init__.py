"""What changes under a running pair: schema changes and other things that users do to it."""
