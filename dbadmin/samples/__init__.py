"""Sample applications: what a newcomer sees first and what the tests work on."""
