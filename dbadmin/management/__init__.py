"""Management commands and their common base."""
