"""Deleting a backup: why, and the database's name where more than this backup is at stake."""

from __future__ import annotations

from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.utils.translation import gettext_lazy as _

from dbadmin.forms.styles import Styled
from dbadmin.models import Database


class DeleteBackupForm(Styled, forms.Form):
    """A reason, and with ``needs_name`` the typed name of the database."""

    name = forms.CharField(
        label=_("Type the name of the database"), widget=forms.TextInput(attrs={"autocomplete": "off"})
    )
    reason = forms.CharField(label=_("Reason"), max_length=400)

    def __init__(self, *args: Any, database: Database, needs_name: bool, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._database = database
        if not needs_name:
            del self.fields["name"]

    def clean_name(self) -> str:
        """Compare."""
        typed: str = self.cleaned_data["name"]
        if typed != self._database.name:
            raise ValidationError(_("This is not the name of the database."))
        return typed
