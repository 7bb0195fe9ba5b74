"""Rows that a form offers: what is sent and is none of them is said to be none, however large its number."""

from __future__ import annotations

import pkgutil
from collections.abc import Iterator
from importlib import import_module

from django import forms

import dbadmin.forms
from dbadmin.forms.styles import RowsField


def all_forms(base: type[forms.BaseForm]) -> Iterator[type[forms.BaseForm]]:
    for form in base.__subclasses__():
        yield form
        yield from all_forms(form)


def test_every_form_that_offers_several_rows_takes_our_field() -> None:
    for module in pkgutil.iter_modules(dbadmin.forms.__path__):
        import_module(f"dbadmin.forms.{module.name}")
    fields = [
        (form.__qualname__, name, field)
        for form in all_forms(forms.BaseForm)
        if form.__module__.startswith("dbadmin.forms.")
        for name, field in getattr(form, "base_fields", {}).items()
        if isinstance(field, forms.ModelMultipleChoiceField)
    ]
    assert {(form, name) for form, name, _field in fields} == {("ScheduleForm", "databases"), ("DetailsForm", "keys")}
    assert all(isinstance(field, RowsField) for _form, _name, field in fields)
