"""Django system checks of the installation."""
