"""Backups and restores: the catalogue of what exists and what was brought back."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import timedelta

from django.db import models
from django.urls import reverse
from django.utils import timezone
from django.utils.translation import gettext_lazy as _

from dbadmin.choices import BackupState, CopyState, RestoreMode, RestoreState, Scope
from dbadmin.facts import Facts
from dbadmin.models.database import Database
from dbadmin.models.fields import SentenceField
from dbadmin.models.job import Job
from dbadmin.models.schedule import Schedule
from dbadmin.models.storage import Storage
from dbadmin.text import Text

# Machines do not agree to the second.
CLOCKS_DIFFER = timedelta(minutes=5)
HELD = (CopyState.STORED, CopyState.DAMAGED, CopyState.VANISHED)


@dataclass(frozen=True, kw_only=True)
class Removal:
    """A storage that still has files of what is to be deleted, and what that waits for."""

    storage: str
    because: Text

    @property
    def sentence(self) -> Text:
        """Both, for a person."""
        return Text("Being removed from “{storage}”. {because}", storage=self.storage, because=self.because)


class BackupQuerySet(models.QuerySet["Backup"]):
    """Backups as adjectives."""

    def available(self) -> BackupQuerySet:
        """Those that can be restored."""
        return self.filter(state=BackupState.AVAILABLE)

    def read_whole(self) -> BackupQuerySet:
        """Those of which a stored copy was read to its last byte: what was adopted and never verified may be rotten."""
        return self._with_copy()

    def at_hand(self) -> BackupQuerySet:
        """Of these, those of which such a copy is in a storage that could be read when it was last looked into."""
        return self._with_copy(storage__is_away=False)

    def _with_copy(self, **where: bool) -> BackupQuerySet:
        read = Copy.objects.filter(backup=models.OuterRef("pk"), state=CopyState.STORED, verified_at__isnull=False)
        return self.available().filter(models.Exists(read.filter(**where)))

    def past(self) -> BackupQuerySet:
        """Without those that a clock that was ahead has dated into the future: how old they are nobody knows."""
        return self.filter(finished_at__lte=timezone.now() + CLOCKS_DIFFER)

    def listed(self) -> BackupQuerySet:
        """With what a list shows and without the large columns."""
        return self.select_related("database__application", "storage").defer("facts", "origin")


class Backup(models.Model):
    """An archive that is complete: its manifest was stored before this row.

    ``storage`` has the copy that is read; ``copies`` are all of them, under the same key.
    """

    database = models.ForeignKey(Database, models.PROTECT, related_name="backups", verbose_name=_("database"))
    storage = models.ForeignKey(Storage, models.PROTECT, related_name="backups", verbose_name=_("storage"))
    job = models.OneToOneField(Job, models.SET_NULL, null=True, blank=True, related_name="backup")
    key = models.CharField(_("key"), max_length=300, help_text=_("Folder of the archive in its storage."))
    schedule = models.ForeignKey(
        Schedule, models.SET_NULL, null=True, blank=True, related_name="backups", verbose_name=_("schedule")
    )
    base = models.ForeignKey(
        "self", models.PROTECT, null=True, blank=True, related_name="increments", verbose_name=_("base")
    )
    scope = models.CharField(_("scope"), max_length=10, choices=Scope, default=Scope.FULL)
    state = models.CharField(_("state"), max_length=12, choices=BackupState, default=BackupState.AVAILABLE)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"))
    size = models.BigIntegerField(_("size"), help_text=_("Bytes of the archive."))
    sha256 = models.CharField("SHA-256", max_length=64)
    row_count = models.BigIntegerField(_("rows"), default=0)
    server_version = models.CharField(_("server version"), max_length=50, blank=True)
    client_version = models.CharField(_("client version"), max_length=50, blank=True)
    schema_head = models.CharField(_("schema head"), max_length=200, blank=True)
    facts = models.JSONField(default=dict)
    origin = models.JSONField(default=dict)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    proven_at = models.DateTimeField(_("proven at"), null=True, blank=True)
    pinned_at = models.DateTimeField(_("pinned at"), null=True, blank=True)
    pin_note = models.CharField(_("why it is kept"), max_length=200, blank=True)
    missing_copies = models.PositiveSmallIntegerField(_("copies not there yet"), default=0)

    # Not stored: the storage that somebody has chosen; only the copy there is read then.
    read_from: Storage | None = None
    # Not stored: what of it is still to be deleted, as ``backups.going.note_removals`` found.
    removals: tuple[Removal, ...] = ()

    objects = BackupQuerySet.as_manager()

    class Meta:
        ordering = ["-id"]
        verbose_name = _("backup")
        verbose_name_plural = _("backups")
        permissions = [
            ("run_backup", "Can start a backup"),
            ("download_backup", "Can download an archive"),
        ]
        constraints = [models.UniqueConstraint(fields=["storage", "key"], name="one_backup_per_key")]
        indexes = [
            models.Index(fields=["database", "state", "-finished_at"], name="backup_newest"),
            # The list walks one of these two and judges its filters in the index, without reading the wide rows.
            models.Index(fields=["-finished_at", "-id", "database", "state", "scope"], name="backup_by_time"),
            models.Index(fields=["-size", "-id", "database", "state", "scope"], name="backup_by_size"),
            # Statistics: sums per database and scope, and the newest of each week.
            models.Index(fields=["database", "scope", "-finished_at", "state", "size"], name="backup_sums"),
        ]

    def __str__(self) -> str:
        return self.key

    def get_absolute_url(self) -> str:
        return reverse("backup", args=[self.pk])

    @property
    def duration(self) -> timedelta:
        """How long it took."""
        return self.finished_at - self.started_at

    @property
    def shown_state(self) -> BackupState | CopyState:
        """Its state; that it is being deleted while files of it still wait for that."""
        is_going = self.state == BackupState.DELETED and self.removals
        return CopyState.EXPIRING if is_going else BackupState(self.state)

    def measured(self) -> Facts:
        """Return the facts taken with the backup."""
        return Facts.from_json(self.facts)


class Copy(models.Model):
    """A backup's archive in one storage. ``size`` and ``sha256`` are of the object as it is stored there."""

    backup = models.ForeignKey(Backup, models.CASCADE, related_name="copies", verbose_name=_("backup"))
    storage = models.ForeignKey(Storage, models.PROTECT, related_name="copies", verbose_name=_("storage"))
    state = models.CharField(_("state"), max_length=10, choices=CopyState, default=CopyState.WAITING)
    size = models.BigIntegerField(_("size"), default=0)
    sha256 = models.CharField("SHA-256", max_length=64, blank=True)
    # the public keys it is encrypted for; none: it is in clear
    recipients = models.JSONField(default=list, blank=True)
    stored_at = models.DateTimeField(_("stored at"), null=True, blank=True)
    verified_at = models.DateTimeField(_("verified at"), null=True, blank=True)
    attempts = models.PositiveIntegerField(_("attempts"), default=0)
    retry_at = models.DateTimeField(_("next try"), null=True, blank=True)
    # why it failed, is damaged, or was let go
    message = SentenceField(verbose_name=_("message"))
    deleted_at = models.DateTimeField(_("deleted at"), null=True, blank=True)

    class Meta:
        ordering = ["backup", "id"]
        verbose_name = _("copy")
        verbose_name_plural = _("copies")
        constraints = [models.UniqueConstraint(fields=["backup", "storage"], name="one_copy_per_storage")]
        indexes = [
            models.Index(fields=["storage", "state", "backup"], name="copy_of_storage"),
            models.Index(fields=["state", "retry_at"], name="copy_state"),
            # Otherwise SQLite takes an index that begins with the state, and so reads nearly all copies.
            models.Index(fields=["backup", "state"], name="copy_of_backup"),
            # What is in each storage.
            models.Index(fields=["state", "storage", "size"], name="copy_sums"),
        ]

    def __str__(self) -> str:
        return f"{self.backup} in {self.storage}"

    @property
    def is_held(self) -> bool:
        """It was stored once and may be there, good or not."""
        return self.state in HELD


class Restore(models.Model):
    """A backup brought back, and what came of it."""

    backup = models.ForeignKey(Backup, models.PROTECT, related_name="restores", verbose_name=_("backup"))
    job = models.OneToOneField(Job, models.SET_NULL, null=True, blank=True, related_name="restore")
    mode = models.CharField(_("mode"), max_length=10, choices=RestoreMode, default=RestoreMode.NEW)
    target = models.CharField(_("target"), max_length=300)
    tables = models.JSONField(default=list, blank=True)
    state = models.CharField(_("state"), max_length=12, choices=RestoreState, default=RestoreState.RUNNING)
    started_at = models.DateTimeField(_("started at"))
    finished_at = models.DateTimeField(_("finished at"), null=True, blank=True)
    lines = models.JSONField(default=list)
    differences = models.JSONField(default=list)
    safety_backup = models.ForeignKey(
        Backup, models.SET_NULL, null=True, blank=True, related_name="saved_before", verbose_name=_("safety backup")
    )
    # what the engine needs to switch back, and until when it is kept
    way_back = models.JSONField(default=dict, blank=True)
    way_back_until = models.DateTimeField(_("can be undone until"), null=True, blank=True)

    class Meta:
        ordering = ["-id"]
        verbose_name = _("restore")
        verbose_name_plural = _("restores")
        permissions = [("run_restore", "Can start a restore")]

    def __str__(self) -> str:
        return f"{self.backup} → {self.target}"

    def get_absolute_url(self) -> str:
        return reverse("restore", args=[self.pk])
