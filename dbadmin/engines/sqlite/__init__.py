from __future__ import annotations


class SQLiteEngine:
    name = "sqlite"
