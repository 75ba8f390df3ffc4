"""Durable state: SQLAlchemy Core over SQLite."""
