"""The processes that work on jobs, on this machine and on others."""

from __future__ import annotations

from collections.abc import Iterator

from django.db import models
from django.utils.translation import gettext_lazy as _

from dbadmin.crypto import decrypt, encrypt, make_key, require_key
from dbadmin.exceptions import ValidationFailed
from dbadmin.models.database import Database
from dbadmin.models.storage import EncryptionKey, Storage
from dbadmin.text import Text


class WorkerProcess(models.Model):
    """A worker that has shown itself; ``name`` and ``host`` are those written into the jobs that it works on."""

    name = models.CharField(_("name"), max_length=100)
    host = models.CharField(_("host"), max_length=100)
    version = models.CharField(_("version"), max_length=50)
    queues = models.JSONField(_("queues"), default=list)
    process_id = models.IntegerField(_("process"))
    started_at = models.DateTimeField(_("started at"))
    heartbeat_at = models.DateTimeField(_("seen at"))
    stopped_at = models.DateTimeField(_("ended at"), null=True, blank=True)

    class Meta:
        ordering = ["host", "name"]
        verbose_name = _("worker")
        verbose_name_plural = _("workers")
        constraints = [models.UniqueConstraint(fields=["host", "name"], name="one_row_per_worker")]
        indexes = [models.Index(fields=["stopped_at", "heartbeat_at"], name="worker_alive")]

    def __str__(self) -> str:
        return f"{self.host} {self.name}"


class KeyProof(models.Model):
    """A known word, encrypted: whoever can read it has the key of this catalogue's secrets. There is one row."""

    WORD = "the key of this catalogue"

    encrypted_word = models.TextField(editable=False)

    class Meta:
        verbose_name = _("proof of the encryption key")
        verbose_name_plural = _("proofs of the encryption key")

    def __str__(self) -> str:
        return str(_("proof of the encryption key"))

    @classmethod
    def require(cls) -> None:
        """Raise ``ValidationFailed`` when this process has another key; the first process with the right one leaves it.

        Where there is no proof yet, the key has to read a secret that is stored, if any is.
        """
        proof = cls.objects.filter(pk=1).first()
        token = proof.encrypted_word if proof else next(_stored_tokens(), "")
        if token:
            require_key()
        try:
            decrypt(token)
        except ValidationFailed as error:
            raise ValidationFailed(
                Text(
                    "The encryption key of this machine is not the catalogue's: it opens none of the stored passwords."
                ),
                Text(
                    "Set DBADMIN_ENCRYPTION_KEY to the key of the machine that serves the pages (encryption_key in its "
                    "home folder). Where that key is lost: manage.py worker --accept-key, then enter passwords again."
                ),
            ) from error
        if proof is None:
            cls.accept()

    @classmethod
    def accept(cls) -> None:
        """Make the key of this process the one that the others have to have; a new one where there is none."""
        make_key()
        cls.objects.update_or_create(pk=1, defaults={"encrypted_word": encrypt(cls.WORD)})


def _stored_tokens() -> Iterator[str]:
    for model, name in (
        (Database, "encrypted_password"),
        (Storage, "encrypted_secrets"),
        (EncryptionKey, "encrypted_identity"),
    ):
        yield from model._default_manager.exclude(**{name: ""}).values_list(name, flat=True)[:1]
