"""What a page was filled from: of two pages that were open at once, the older one takes nothing back unseen."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping
from typing import Any

from django.forms import BaseForm, BoundField
from django.utils.crypto import salted_hmac

FILLED = "filled"
LENGTH = 12


class Meanwhile:
    """Tells which fields a save would set back that somebody else has changed since the page was filled.

    The initial values of ``forms`` have to be what is stored now. ``data`` is what was sent, None for a page that is
    opened; what was sent without a ``token``, as by a program, is not compared. ``leave_out`` names fields that do not
    matter. To be asked again after the token of this answer was sent: then the person has seen it.
    """

    def __init__(self, data: Mapping[str, Any] | None, *forms: BaseForm, leave_out: Collection[str] = ()) -> None:
        sent = str(data.get(FILLED, "")) if data else ""
        self._filled = {name: digest for name, _equals, digest in (part.partition("=") for part in sent.split("~"))}
        self._is_told = bool(sent)
        self._forms = forms
        self._leave_out = leave_out

    @property
    def token(self) -> str:
        """What the page carries along: a keyed digest of each field's stored value, since some are secret."""
        return "~".join(f"{field.html_name}={_digest(field)}" for field in self._fields())

    @property
    def changed(self) -> list[str]:
        """The labels of the fields that a save would set back."""
        return [str(field.label) for field in self._fields() if self._is_set_back(field)] if self._is_told else []

    def _fields(self) -> Iterator[BoundField]:
        for form in self._forms:
            yield from form

    def _is_set_back(self, field: BoundField) -> bool:
        """Say so only where the values differ: who sends a form twice sets nothing back."""
        is_other = field.name in field.form.changed_data and field.name not in self._leave_out
        return is_other and self._filled.get(field.html_name) != _digest(field)


def _digest(field: BoundField) -> str:
    value = field.field.prepare_value(field.initial)
    if isinstance(value, list | tuple | set):  # chosen rows come in no certain order
        value = sorted(map(str, value))
    return salted_hmac("dbadmin.forms.meanwhile", f"{field.html_name}={value}").hexdigest()[:LENGTH]
