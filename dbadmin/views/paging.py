"""Paging that costs the same on page one and on page two thousand: continue behind the last row that was shown."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Generic, TypeVar

from django.core.exceptions import ValidationError
from django.db.models import Field, Model, QuerySet
from django.http import QueryDict

SIZE = 50
Row = TypeVar("Row", bound=Model)


@dataclass(frozen=True, kw_only=True)
class Order:
    """A column that is never null and has an index with the primary key, which breaks ties."""

    field: str = "id"
    descending: bool = True

    def columns(self, *, reverse: bool) -> list[str]:
        """Return what ``order_by`` takes."""
        sign = "-" if self.descending != reverse else ""
        return [f"{sign}{name}" for name in dict.fromkeys((self.field, "id"))]


@dataclass(frozen=True, kw_only=True)
class Page(Generic[Row]):
    """Some rows and the query strings of the pages beside them, empty where there is none."""

    rows: list[Row]
    previous: str = ""
    next: str = ""


def paginate(rows: QuerySet[Row], *, order: Order, params: QueryDict, size: int = SIZE) -> Page[Row]:
    """Return the page that ``params`` (``after`` or ``before`` a row) names; the first one when they name none.

    Never counts. Two queries: the first finds the keys, in an index wherever one fits, so that sorting does not
    carry wide rows about; the second reads the rows of this page.
    """
    backwards = "before" in params
    cursor = _read(rows.model, order, params.get("before" if backwards else "after", ""))
    backwards = backwards and cursor is not None
    ahead = rows.order_by(*order.columns(reverse=backwards))
    if cursor:
        ahead = _beyond(ahead, order, cursor, downwards=order.descending != backwards)
    keys = list(ahead.values_list("pk", flat=True)[: size + 1])
    by_key = rows.order_by().in_bulk(keys[:size])
    found = [by_key[key] for key in keys[:size] if key in by_key]  # one may have gone between the two
    has_more = len(keys) > size
    shown = found[::-1] if backwards else found
    has_previous, has_next = (has_more, True) if backwards else (cursor is not None, has_more)
    return Page(
        rows=shown,
        previous=_link(params, "before", order, shown[:1]) if has_previous else "",
        next=_link(params, "after", order, shown[-1:]) if has_next else "",
    )


def _beyond(rows: QuerySet[Row], order: Order, cursor: tuple[Any, int], *, downwards: bool) -> QuerySet[Row]:
    """Keep what comes after the cursor, written so that an index range serves it (an OR would not be one)."""
    value, pk = cursor
    if order.field == "id":
        return rows.filter(**{"id__lt" if downwards else "id__gt": pk})
    side, tie = ("lte", "gte") if downwards else ("gte", "lte")
    return rows.filter(**{f"{order.field}__{side}": value}).exclude(**{order.field: value, f"id__{tie}": pk})


def _read(model: type[Model], order: Order, token: str) -> tuple[Any, int] | None:
    value, _, pk = token.rpartition("~")
    try:
        column = model._meta.get_field(order.field)
        assert isinstance(column, Field)
        return column.to_python(value or pk), int(pk)
    except (ValueError, ValidationError):
        return None  # not one of our links: the first page


def _link(params: QueryDict, side: str, order: Order, edge: list[Any]) -> str:
    kept = params.copy()
    for name in ("after", "before"):
        kept.pop(name, None)
    if edge:
        field = edge[0]._meta.get_field(order.field)
        kept[side] = f"{field.value_to_string(edge[0])}~{edge[0].pk}"
    return f"?{kept.urlencode()}"
