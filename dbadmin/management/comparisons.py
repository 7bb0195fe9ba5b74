"""Comparisons as commands print them."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from dbadmin.models import Comparison
from dbadmin.text import Text


def comparison_row(row: Comparison) -> dict[str, Any]:
    """Return a comparison with everything that was found; remarks are sentences."""
    remarks = [str(Text.from_json(remark)) for remark in row.result["remarks"]]
    return {
        "id": row.pk,
        "left": row.left_id,
        "right": row.right_id or "live",
        "state": row.state,
        "started_at": row.started_at,
        "finished_at": row.finished_at,
        **row.result,
        "remarks": remarks,
    }


def comparison_lines(row: Comparison) -> Iterator[str]:
    """Yield what differs, the schema as a unified diff."""
    other = row.right_id or Text("the database as it is")
    yield str(Text("{state}: backup {left} ↔ {right}", state=row.get_state_display(), left=row.left_id, right=other))
    for table in row.result["tables"]:
        if table["state"] != "same":
            yield from _table(table)
    for change in row.result["schema"]:
        yield f"{change['kind']} {change['name']}: {change['state']}"
        yield change["diff"]
    for group in ("sequences", "objects", "heads"):
        for each in row.result[group]:
            yield f"{each['name']}: {each['left']} → {each['right']}"
    for remark in row.result["remarks"]:
        yield str(Text.from_json(remark))


def _table(table: dict[str, Any]) -> Iterator[str]:
    yield f"{table['name']}: {table['state']}, {table['left']} → {table['right']}"
    for sample in (table["changes"] or {}).get("samples", ()):
        told = " ".join(filter(None, (*sample["columns"], sample["left"] and f"{sample['left']} →", sample["right"])))
        yield f"  {sample['state']} {sample['key']} {told}".rstrip()
