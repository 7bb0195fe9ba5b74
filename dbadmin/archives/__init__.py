"""What a stored backup is."""
