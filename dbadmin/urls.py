"""Every page, as a table of contents."""

from __future__ import annotations

from django.contrib.auth.views import LogoutView
from django.urls import path

from dbadmin.views import login, overview

urlpatterns = [
    # Signing in
    path("login/", login.Login.as_view(), name="login"),
    path("logout/", LogoutView.as_view(), name="logout"),
    # Overview
    path("", overview.overview, name="overview"),
    # Databases
    # Backups
    # Restores
    # Jobs
    # Health
    # Migrations
    # Audit
]
