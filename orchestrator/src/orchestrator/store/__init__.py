"""The store of conversations in SQL: SQLite in a file, or PostgreSQL."""
