"""How Tabler wants form fields dressed, and fields that several forms need."""

from __future__ import annotations

from typing import Any, TypeVar

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import Model, QuerySet

Row = TypeVar("Row", bound=Model)


class Styled(forms.BaseForm):
    """Gives every widget its class."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        for field in self.fields.values():
            field.widget.attrs.setdefault("class", _css(field.widget))


def _css(widget: forms.Widget) -> str:
    if isinstance(widget, forms.CheckboxInput):
        return "form-check-input"
    if isinstance(widget, forms.RadioSelect | forms.CheckboxSelectMultiple):
        return "form-selectgroup-input"
    return "form-select" if isinstance(widget, forms.Select) else "form-control"


class RowsField(forms.ModelMultipleChoiceField[Row]):
    """Rows among which some are chosen; every form that offers several takes it."""

    def clean(self, value: Any) -> QuerySet[Row]:
        """Take a number that is too large for the catalogue for what it is: not one of the choices."""
        try:
            return super().clean(value)
        except OverflowError as error:
            wrong = {"value": max(map(str, value), key=len)}
            raise ValidationError(self.error_messages["invalid_choice"], code="invalid_choice", params=wrong) from error


class LinesField(forms.CharField):
    """A list of strings, one per line; empty lines do not count."""

    widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Show a stored list as lines."""
        return "\n".join(value) if isinstance(value, list) else value

    def to_python(self, value: Any) -> list[str]:  # type: ignore[override]
        """Return the lines."""
        return [line.strip() for line in (super().to_python(value) or "").splitlines() if line.strip()]


class PairsField(forms.CharField):
    """Names with values, one ``name=value`` per line."""

    widget = forms.Textarea(attrs={"rows": 3, "spellcheck": "false"})

    def prepare_value(self, value: Any) -> Any:
        """Show a stored mapping as lines."""
        return "\n".join(f"{name}={each}" for name, each in value.items()) if isinstance(value, dict) else value

    def to_python(self, value: Any) -> dict[str, str]:  # type: ignore[override]
        """Return the mapping."""
        lines = [line.partition("=") for line in (super().to_python(value) or "").splitlines() if line.strip()]
        return {name.strip(): each.strip() for name, _equals, each in lines}
