"""dbadmin: the backups, restores, health and migrations of the databases of several applications."""
