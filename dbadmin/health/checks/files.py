"""What only a set of files has."""

from __future__ import annotations

from dbadmin.choices import EngineName, Verdict
from dbadmin.health.registry import Observation, Result, check
from dbadmin.text import Text

FILES = {EngineName.FILES}
SHOWN = 5


@check("files_required", Text("Required files"), engines=FILES, needs=("missing_required", "file_count"))
def required(seen: Observation) -> Result:
    """Every required pattern has to match a file."""
    missing = list(seen["missing_required"])
    if not missing:
        return Result(
            verdict=Verdict.OK,
            message=Text("All required files are there; files in all: {count}.", count=seen["file_count"]),
            value=0,
        )
    return Result(
        verdict=Verdict.CRITICAL,
        message=Text("Required files are missing: {names}", names=_shown(missing)),
        hint=Text("Restore them from the newest backup, or take them off the list if they are not needed any more."),
        value=len(missing),
    )


@check("files_valid", Text("Valid JSON"), engines=FILES, needs=("invalid",))
def valid(seen: Observation) -> Result:
    """Every JSON file has to parse; the first error of each is named by line and column."""
    invalid = seen["invalid"]
    if not invalid:
        return Result(verdict=Verdict.OK, message=Text("Every JSON file can be read."), value=0)
    first = invalid[0]
    message = (
        Text("{path}: {reason}", path=first["path"], reason=first["reason"])
        if not first["line"]
        else Text(
            "{path} is not valid JSON: line {line}, column {column}: {reason}",
            path=first["path"],
            line=first["line"],
            column=first["column"],
            reason=first["reason"],
        )
    )
    if len(invalid) > 1:
        others = _shown([entry["path"] for entry in invalid[1:]])
        message = Text("{first} Also not valid: {others}", first=message, others=others)
    return Result(
        verdict=Verdict.CRITICAL,
        message=message,
        hint=Text("Mend the file at that place, or restore it from the newest backup."),
        value=len(invalid),
    )


def _shown(names: list[str]) -> str:
    more = f", … (+{len(names) - SHOWN})" if len(names) > SHOWN else ""
    return ", ".join(names[:SHOWN]) + more
