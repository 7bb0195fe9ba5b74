"""What pages say about encryption keys."""

from __future__ import annotations

from django import template

from dbadmin.archives.age import short
from dbadmin.backups.keys import needed
from dbadmin.models import Backup
from dbadmin.models.keys import names
from dbadmin.text import Text

register = template.Library()


@register.simple_tag
def key_wanted(backup: Backup) -> Text:
    """Return the names of the keys of which one has to be offered to read the backup; empty when none has to."""
    return names(needed(backup))


@register.filter
def short_key(recipient: str) -> str:
    """Show enough of a public key to tell it from others."""
    return short(recipient)
