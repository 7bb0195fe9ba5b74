"""Where archives are kept, and with which keys they are encrypted."""

from __future__ import annotations

import json
from collections.abc import Iterable
from pathlib import Path

from django.conf import settings
from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext
from django.utils.translation import gettext_lazy as _

from dbadmin.archives.encryption import EncryptedStorage
from dbadmin.choices import CopyState
from dbadmin.crypto import decrypt, encrypt, opens
from dbadmin.models.fields import SentenceField, one_line
from dbadmin.models.retention import Retention
from dbadmin.storages import get_storage
from dbadmin.storages.limited import LimitedStorage
from dbadmin.storages.present import require_present


class EncryptionKey(models.Model):
    """An age key pair. Without the private half the server can write archives and not read them."""

    name = models.CharField(_("name"), max_length=100, unique=True, validators=[one_line])
    recipient = models.CharField(_("public key"), max_length=200, unique=True)
    encrypted_identity = models.TextField(blank=True, editable=False)
    created_at = models.DateTimeField(_("created at"), default=timezone.now)
    retired_at = models.DateTimeField(_("retired at"), null=True, blank=True)

    class Meta:
        ordering = ["name"]
        verbose_name = _("encryption key")
        verbose_name_plural = _("encryption keys")

    def __str__(self) -> str:
        return self.name

    @property
    def identity(self) -> str:
        """The private key, or empty where the server has none."""
        return decrypt(self.encrypted_identity)

    @identity.setter
    def identity(self, secret: str) -> None:
        self.encrypted_identity = encrypt(secret)

    @property
    def is_locked(self) -> bool:
        """Whether the private key is stored, and no key of this process opens it."""
        return not opens(self.encrypted_identity)

    @property
    def is_readable(self) -> bool:
        """Whether this server can read with it."""
        return bool(self.encrypted_identity) and not self.is_locked


class StorageQuerySet(models.QuerySet["Storage"]):
    """Storages as adjectives."""

    def registered(self) -> StorageQuerySet:
        """Those that are on the dashboard; removed ones are kept for their archives."""
        return self.filter(removed_at__isnull=True)


class Storage(models.Model):
    """A registered storage; ``settings`` are what its kind needs, without secrets.

    ``problem`` is what the last test or look found, ``is_away`` whether what lies there cannot be read for it: a disk
    that is merely full has a problem and is not away. Removing it from the dashboard sets ``removed_at``; its archives
    stay where they are.
    """

    name = models.CharField(_("name"), max_length=100, unique=True, validators=[one_line])
    kind = models.CharField(_("kind"), max_length=20, default="local")
    settings = models.JSONField(_("settings"), default=dict)
    encrypted_secrets = models.TextField(blank=True, editable=False)
    is_default = models.BooleanField(_("used when none is named"), default=False)
    is_offsite = models.BooleanField(
        _("in another place"), default=False, help_text=_("It survives the loss of the building this machine is in.")
    )
    keys = models.ManyToManyField(
        EncryptionKey,
        related_name="storages",
        blank=True,
        verbose_name=_("encrypted for"),
        help_text=_("New archives are encrypted for these keys; none: they are stored in clear."),
    )
    retention = models.ForeignKey(
        Retention,
        models.SET_NULL,
        null=True,
        blank=True,
        related_name="storages",
        verbose_name=_("retention"),
        help_text=_("Of backups that no schedule has taken, and of schedules that name no retention for this storage."),
    )
    bandwidth_kilobytes = models.PositiveIntegerField(
        _("at most (KB/s)"), default=0, help_text=_("For writing and for reading; 0 is no limit.")
    )
    quota_bytes = models.BigIntegerField(_("room for archives (bytes)"), null=True, blank=True)
    cost_per_gigabyte = models.DecimalField(
        _("cost per GB and month"), max_digits=10, decimal_places=4, null=True, blank=True
    )
    currency = models.CharField(_("currency"), max_length=3, blank=True)
    mirror_target = models.CharField(_("mirrored to"), max_length=300, blank=True)
    mirrored_at = models.DateTimeField(_("mirrored at"), null=True, blank=True, editable=False)
    checked_at = models.DateTimeField(null=True, blank=True, editable=False)
    problem = SentenceField(verbose_name=_("problem"), editable=False)
    is_away = models.BooleanField(default=False, editable=False)
    removed_at = models.DateTimeField(null=True, blank=True, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)

    objects = StorageQuerySet.as_manager()

    class Meta:
        ordering = ["name"]
        verbose_name = _("storage")
        verbose_name_plural = _("storages")
        permissions = [("adopt_archive", "Can adopt archives found in a storage")]
        constraints = [
            models.UniqueConstraint(
                fields=["is_default"], condition=models.Q(is_default=True), name="one_default_storage"
            )
        ]

    def __str__(self) -> str:
        return self.name

    def get_absolute_url(self) -> str:
        return reverse("storage", args=[self.pk])

    @classmethod
    def default(cls) -> Storage | None:
        """Return the one used when none is named; where there is none at all, one in the home folder is made."""
        if not cls.objects.exists():
            place = {"path": str(Path(settings.HOME) / "archives")}
            cls.objects.get_or_create(is_default=True, defaults={"name": gettext("This machine"), "settings": place})
        return cls.objects.registered().filter(is_default=True).first()

    @classmethod
    def is_first(cls) -> bool:
        """Say whether one that is registered now has to be the default, because there is none."""
        return not cls.objects.registered().filter(is_default=True).exists()

    @property
    def secrets(self) -> dict[str, str]:
        """Passwords and tokens by the name of the setting; ``ValidationFailed`` when the key does not fit."""
        values: dict[str, str] = json.loads(decrypt(self.encrypted_secrets) or "{}")
        return values

    @secrets.setter
    def secrets(self, values: dict[str, str]) -> None:
        self.encrypted_secrets = encrypt(json.dumps(values)) if values else ""

    @property
    def is_locked(self) -> bool:
        """Whether there are secrets that no key of this process opens; not even their names are known then."""
        return not opens(self.encrypted_secrets)

    def for_writing(self) -> EncryptedStorage:
        """Return ``backend``; ``StorageError`` for a folder that is not here or not mounted."""
        self.require_folder()
        return self.backend()

    def require_folder(self) -> None:
        """Raise ``StorageError`` for a folder that is not here or not mounted; other kinds have none."""
        if self.kind == "local":
            require_present(Path(self.settings["path"]), has_archives=self.copies.filter(state=CopyState.STORED).exists)

    def backend(self) -> EncryptedStorage:
        """Return the storage itself: at the pace it may have, sealing for its keys, opening with all that are here.

        One query; contacts nothing. Private keys are decrypted when something sealed is read.
        """
        place = get_storage(self.kind, self.settings, self.secrets)
        if self.bandwidth_kilobytes:
            place = LimitedStorage(place, self.bandwidth_kilobytes * 1000)
        own = Storage.keys.through.objects.filter(storage_id=self.pk, encryptionkey_id=models.OuterRef("pk"))
        keys = list(EncryptionKey.objects.annotate(seals=models.Exists(own)))
        sealing = [key for key in keys if key.seals]
        # A storage with keys never falls back to clear text, not even when all of them are retired.
        current = [key for key in sealing if key.retired_at is None] or sealing
        return EncryptedStorage(
            place,
            recipients=[key.recipient for key in current],
            identities=lambda: _private(keys),
        )


def _private(keys: Iterable[EncryptionKey]) -> list[str]:
    """Return the private keys; one that is locked is as good as none, so what can be done without one goes on."""
    return [key.identity for key in keys if key.is_readable]


class StorageSample(models.Model):
    """How full a storage was on a day: the bytes and number of our archives, and what was still free."""

    storage = models.ForeignKey(Storage, models.CASCADE, related_name="samples")
    day = models.DateField()
    used_bytes = models.BigIntegerField()
    archives = models.PositiveIntegerField()
    free_bytes = models.BigIntegerField(null=True, blank=True)

    class Meta:
        ordering = ["storage", "day"]
        constraints = [models.UniqueConstraint(fields=["storage", "day"], name="one_sample_per_day")]

    def __str__(self) -> str:
        return f"{self.storage} {self.day}: {self.used_bytes}"


class Orphan(models.Model):
    """Objects found in a storage that belong to no backup of the catalogue. They are told, never deleted by us."""

    storage = models.ForeignKey(Storage, models.CASCADE, related_name="orphans", verbose_name=_("storage"))
    key = models.CharField(_("key"), max_length=500)
    size = models.BigIntegerField(_("size"))
    complete = models.BooleanField(_("has a manifest"), default=False)
    found_at = models.DateTimeField(_("found at"), default=timezone.now)

    class Meta:
        ordering = ["storage", "key"]
        verbose_name = _("orphan")
        verbose_name_plural = _("orphans")
        constraints = [models.UniqueConstraint(fields=["storage", "key"], name="one_orphan_per_key")]

    def __str__(self) -> str:
        return self.key
