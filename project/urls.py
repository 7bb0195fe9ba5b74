"""Root URLs: the dashboard at the top, Django admin below /admin/."""

from __future__ import annotations

from django.contrib import admin
from django.urls import include, path

from dbadmin.views.login import for_administration

handler500 = "dbadmin.views.failures.internal"
urlpatterns = [
    # Before the admin site, whose own login page would not be throttled.
    path("admin/login/", for_administration),
    path("admin/", admin.site.urls),
    path("i18n/", include("django.conf.urls.i18n")),
    path("", include("dbadmin.urls")),
]
