"""Rows of SQL databases: PostgreSQL by COPY, all others row by row through their driver."""
