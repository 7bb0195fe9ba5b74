"""Looking after databases."""
