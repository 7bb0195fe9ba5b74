from __future__ import annotations


class PostgreSQLEngine:
    name = "postgresql"
