"""Keeps two MySQL or MariaDB servers that both take writes equal."""

__version__ = "0.1.0"
