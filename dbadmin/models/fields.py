"""Model fields of our own."""

from __future__ import annotations

import unicodedata
from typing import Any

from django.core.exceptions import ValidationError
from django.db import models
from django.utils.translation import gettext_lazy as _

from dbadmin.text import Text

# Control characters and separators of lines and paragraphs.
NOT_ON_A_LINE = ("Cc", "Zl", "Zp")


def is_one_line(value: str) -> bool:
    """Say whether it does not break the line it is shown on, such as in a list on a terminal."""
    return not any(unicodedata.category(character) in NOT_ON_A_LINE for character in value)


def one_line(value: str) -> None:
    """Refuse what is more than one line."""
    if not is_one_line(value):
        raise ValidationError(_("Write it on one line, without tabs and other control characters."))


class SentenceField(models.JSONField[Any, Any]):
    """Stores a ``Text`` so that it can be shown in the language of whoever reads it."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        kwargs.setdefault("default", empty_sentence)
        kwargs.setdefault("blank", True)
        super().__init__(*args, **kwargs)

    def from_db_value(self, value: Any, expression: Any, connection: Any) -> Text:
        """Turn the stored document into a sentence."""
        return Text.from_json(super().from_db_value(value, expression, connection))

    def to_python(self, value: Any) -> Any:
        """Accept sentences and their documents."""
        return value if isinstance(value, Text) else Text.from_json(super().to_python(value))

    def get_db_prep_value(self, value: Any, connection: Any, prepared: bool = False) -> Any:
        """Store the document of a sentence."""
        document = value.to_json() if isinstance(value, Text) else value
        return super().get_db_prep_value(document, connection, prepared)

    def value_to_string(self, obj: models.Model) -> Any:
        """Serialise as the document."""
        return self.value_from_object(obj).to_json()


def empty_sentence() -> Text:
    """Return the sentence that says nothing."""
    return Text("")
