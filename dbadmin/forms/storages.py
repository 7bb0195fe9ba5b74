"""How a storage is described: fields made of what its kind wants to know, and what every kind has.

No form ever shows a secret again: an empty field keeps the stored one. Stored ones that cannot be read are not kept
beside new ones: nobody would know which of them the storage has.
"""

from __future__ import annotations

from collections.abc import Mapping
from decimal import Decimal
from typing import Any

from django import forms
from django.core.exceptions import ValidationError
from django.db.models import QuerySet
from django.utils.translation import gettext as _
from django.utils.translation import gettext_lazy

from dbadmin.backups.keys import only_retired
from dbadmin.backups.storage_changes import has_moved
from dbadmin.backups.storage_places import require_listed
from dbadmin.backups.storage_use import GIGABYTE
from dbadmin.exceptions import DbadminError
from dbadmin.forms.styles import RowsField, Styled
from dbadmin.models import EncryptionKey, Storage
from dbadmin.storages.kinds import BOOLEAN, CHOICE, LINES, NUMBER, Kind, Setting, problems

FORGET = "forget_"
FORGET_LOCKED = f"{FORGET}all_that_cannot_be_read"


class Hidden(forms.Textarea):
    """Lines that are sent and never shown, not even after a mistake elsewhere in the form."""

    def format_value(self, value: Any) -> str:
        """Show nothing."""
        return ""


class SettingsForm(Styled, forms.Form):
    """What a kind of storage wants to know. ``stored`` is the row that is being changed."""

    def __init__(self, data: Any, *, kind: Kind, stored: Storage | None = None) -> None:
        super().__init__(data, prefix="storage", initial=dict(stored.settings) if stored else {})
        self.kind, self.stored = kind, stored
        self.is_locked = stored is not None and stored.is_locked
        self._kept = stored.secrets if stored and not self.is_locked else {}
        for setting in kind.settings:
            self.fields[setting.name] = _field(setting, is_stored=setting.name in self._kept)
            if setting.name in self._kept:
                label = _("Forget the stored “{name}”").format(name=setting.label)
                self.fields[FORGET + setting.name] = forms.BooleanField(required=False, label=label)
        if self.is_locked:
            label = _("Forget the stored secrets that cannot be read")
            self.fields[FORGET_LOCKED] = forms.BooleanField(required=False, label=label)
        for field in self.fields.values():
            field.widget.attrs.setdefault(
                "class", "form-check-input" if isinstance(field, forms.BooleanField) else _css(field)
            )

    def clean(self) -> dict[str, Any]:
        """Let the kind judge each value, then see that nobody learns what he should not."""
        data = super().clean() or {}
        if self.errors:
            return data
        data["settings"], data["secrets"] = self._settings(data), self._secrets(data)
        for name, problem in problems(self.kind.name, data["settings"], data["secrets"]).items():
            self.add_error(name if name in self.fields else None, str(problem))
        if self.is_locked and not data[FORGET_LOCKED]:
            self._require_again(data)
        if not self.errors and self.moves:
            self._require_allowed(data)
        return data

    @property
    def moves(self) -> bool:
        """Say whether the address is new; only after ``is_valid()``."""
        before = self.stored.settings if self.stored else {}
        return self.stored is None or has_moved(self.kind.name, before, self.cleaned_data["settings"])

    @property
    def settings(self) -> dict[str, Any]:
        """What is stored in clear; only after ``is_valid()``."""
        return dict(self.cleaned_data["settings"])

    @property
    def secrets(self) -> dict[str, str]:
        """What is stored encrypted; only after ``is_valid()``."""
        return dict(self.cleaned_data["secrets"])

    def _settings(self, data: Mapping[str, Any]) -> dict[str, Any]:
        """Take what was given; stored values without a field are kept."""
        names = {setting.name for setting in self.kind.settings}
        unseen = {name: value for name, value in self.initial.items() if name not in names}
        given = {each.name: data[each.name] for each in self.kind.settings if not each.secret}
        return unseen | {name: value for name, value in given.items() if value not in ("", None)}

    def _secrets(self, data: Mapping[str, Any]) -> dict[str, str]:
        kept = {name: value for name, value in self._kept.items() if not data.get(FORGET + name)}
        given = {each.name: data[each.name] for each in self.kind.settings if each.secret and data[each.name]}
        return kept | given

    def _require_again(self, data: Mapping[str, Any]) -> None:
        """What is saved takes the place of all that cannot be read, so the storage must not lose what it needs."""
        given = data["secrets"]
        missing = [name for name in self.kind.wanted_again(data["settings"]) if not given.get(name)]
        for name in missing:
            self.add_error(name, _("Enter it again: the stored one cannot be read."))
        if not given and not missing:
            self.add_error(FORGET_LOCKED, _("Enter the secrets again, or choose to forget those that are stored."))

    def _require_allowed(self, data: Mapping[str, Any]) -> None:
        """Nobody gets at a stored secret by pointing dbadmin at a server of his own, nor at any folder of this one."""
        for name in self._kept:
            if name in self.fields and data["secrets"].get(name) and not data[name]:
                self.add_error(name, _("Type it again: the address has changed."))
        try:
            require_listed(self.kind.name, data["settings"])
        except DbadminError as error:
            raise ValidationError(str(error)) from error


def _css(field: forms.Field) -> str:
    return "form-select" if isinstance(field, forms.ChoiceField) else "form-control"


def _field(setting: Setting, *, is_stored: bool) -> forms.Field:
    common: dict[str, Any] = {"label": str(setting.label), "help_text": str(setting.help), "initial": setting.default}
    required = setting.required and not is_stored
    if setting.secret:
        common["help_text"] = " ".join(
            part for part in (str(setting.help), _("Stored. Leave it empty to keep it.") if is_stored else "") if part
        )
        plain = {"autocomplete": "new-password", "spellcheck": "false"}
        is_long = setting.form == LINES
        hidden: forms.Widget = Hidden(attrs={"rows": 4, **plain}) if is_long else forms.PasswordInput(attrs=plain)
        return forms.CharField(**common, required=required, strip=not is_long, widget=hidden)
    if setting.form == BOOLEAN:
        return forms.BooleanField(**common, required=False)
    if setting.form == CHOICE:
        choices = [(value, str(label)) for value, label in setting.choices]
        return forms.ChoiceField(**common, required=required, choices=choices)
    if setting.form == NUMBER:
        return forms.IntegerField(**common, required=required, min_value=0)
    if setting.form == LINES:
        widget = forms.Textarea(attrs={"rows": 4, "spellcheck": "false"})
        return forms.CharField(**common, required=required, widget=widget)
    return forms.CharField(
        **common, required=required, max_length=500, widget=forms.TextInput(attrs={"spellcheck": "false"})
    )


class KeysField(RowsField[EncryptionKey]):
    """Encryption keys; those that are retired are offered only where they are chosen already."""

    def label_from_instance(self, obj: EncryptionKey) -> str:
        """Say of a retired one that it is."""
        return _("{name} (retired)").format(name=obj) if obj.retired_at else str(obj)


class DetailsForm(Styled, forms.ModelForm[Storage]):
    """What every kind of storage has."""

    quota = forms.DecimalField(
        label=gettext_lazy("Room for archives (GB)"),
        required=False,
        min_value=Decimal("0.001"),
        decimal_places=3,
        max_digits=12,
        help_text=gettext_lazy("Forecasts count with it; empty: what the storage says is free."),
    )

    class Meta:
        model = Storage
        fields = (
            "name", "is_offsite", "keys", "retention", "quota", "bandwidth_kilobytes", "cost_per_gigabyte", "currency",
        )  # fmt: skip
        field_classes = {"keys": KeysField}
        widgets = {"keys": forms.CheckboxSelectMultiple(attrs={"class": "form-check-input"})}
        help_texts = {"currency": gettext_lazy("Three letters, such as EUR or JPY.")}

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if self.instance.quota_bytes is not None:
            self.initial["quota"] = f"{self.instance.quota_bytes / GIGABYTE:.3f}".rstrip("0").rstrip(".")
        self.fields["bandwidth_kilobytes"].required = False
        self.fields["retention"].empty_label = _("Kept for ever")  # type: ignore[attr-defined]
        chosen = self.instance.keys.values_list("pk", flat=True) if self.instance.pk else ()
        usable = EncryptionKey.objects.filter(retired_at=None) | EncryptionKey.objects.filter(pk__in=list(chosen))
        self.fields["keys"].queryset = usable.distinct()  # type: ignore[attr-defined]

    def clean_bandwidth_kilobytes(self) -> int:
        """Take what is left empty for no limit."""
        return int(self.cleaned_data["bandwidth_kilobytes"] or 0)

    def clean_keys(self) -> QuerySet[EncryptionKey]:
        """Take none, or one at least that is not retired."""
        keys: QuerySet[EncryptionKey] = self.cleaned_data["keys"]
        if only_retired(keys):
            raise ValidationError(_("The keys that are chosen are retired. Choose another one."))
        return keys

    def clean_currency(self) -> str:
        """Write it as banks do."""
        currency = str(self.cleaned_data["currency"]).upper()
        if currency and not (len(currency) == 3 and currency.isascii() and currency.isalpha()):
            raise ValidationError(_("Write three letters, such as EUR or JPY."))
        return currency

    def save(self, commit: bool = True) -> Storage:
        """Store the quota in bytes."""
        quota = self.cleaned_data["quota"]
        self.instance.quota_bytes = None if quota is None else int(quota * GIGABYTE)
        return super().save(commit)


class RemoveForm(Styled, forms.Form):
    """Taking a storage off the dashboard: why."""

    reason = forms.CharField(label=gettext_lazy("Reason"), max_length=500)
