"""The Django project around dbadmin: settings, root URLs, WSGI."""
