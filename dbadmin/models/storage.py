"""Where archives are kept."""

from __future__ import annotations

from pathlib import Path

from django.conf import settings
from django.db import models
from django.utils.translation import gettext_lazy as _

from dbadmin.storages import get_storage
from dbadmin.storages.base import Storage as StorageBackend


class Storage(models.Model):
    """A registered storage; ``settings`` are what its kind needs, without secrets."""

    name = models.CharField(_("name"), max_length=100, unique=True)
    kind = models.CharField(_("kind"), max_length=20, default="local")
    settings = models.JSONField(_("settings"), default=dict)
    is_default = models.BooleanField(_("used when none is named"), default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("storage")
        verbose_name_plural = _("storages")
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="one_default_storage"
            )
        ]

    def __str__(self) -> str:
        return self.name

    @classmethod
    def default(cls) -> Storage | None:
        """Return the one used when none is named; where there is none at all, one in the home folder is made."""
        if not cls.objects.exists():
            cls.objects.get_or_create(
                name="This machine",
                defaults={"settings": {"path": str(Path(settings.HOME) / "archives")}, "is_default": True},
            )
        return cls.objects.filter(is_default=True).first()

    def backend(self) -> StorageBackend:
        """Return the storage itself."""
        return get_storage(self.kind, self.settings)
