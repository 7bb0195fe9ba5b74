"""Which variables describe the database, by precedence. Two sources are never mixed."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from dbadmin.exceptions import ValidationFailed
from dbadmin.sources.parameters import apply_parameter
from dbadmin.sources.url import parse_url
from dbadmin.sources.values import Candidate, Chosen, Decision
from dbadmin.text import Text

_URLS = ("DATABASE_PUBLIC_URL", "DATABASE_URL")
_PG = {"PGHOST": "host", "PGPORT": "port", "PGUSER": "user", "PGPASSWORD": "password", "PGDATABASE": "dbname"}
_PG_MORE = {
    "PGSSLMODE": "sslmode",
    "PGCONNECT_TIMEOUT": "connect_timeout",
    "PGOPTIONS": "options",
    "PGSSLROOTCERT": "sslrootcert",
    "PGSSLCERT": "sslcert",
    "PGSSLKEY": "sslkey",
    "PGSSLCRL": "sslcrl",
    "PGCHANNELBINDING": "channel_binding",
    "PGGSSENCMODE": "gssencmode",
    "PGKRBSRVNAME": "krbsrvname",
    "PGTARGETSESSIONATTRS": "target_session_attrs",
}
_DB = {"DB_HOST": "host", "DB_PORT": "port", "DB_USER": "user", "DB_PASSWORD": "password", "DB_NAME": "dbname"}
_NEEDED = ("host", "user", "dbname")
_SWITCH = "MKS_USE_POSTGRESQL"
_NOTHING = Text("")

Reader = Callable[[Mapping[str, str]], Chosen]


class _Incomplete(Exception):
    def __init__(self, missing: list[str]) -> None:
        super().__init__()
        self.missing = missing


def from_environment(variables: Mapping[str, str]) -> Decision:
    """Decide by precedence: DATABASE_PUBLIC_URL, DATABASE_URL, PG*, DB_*.

    A source with too few variables is passed over and says what it lacks. One that is set but cannot be read ends
    the search: the next one may be another database. Values of variables are in no remark.
    """
    values = {name: value.strip() for name, value in variables.items() if value.strip()}
    candidates: list[Candidate] = []
    chosen: Chosen | None = None
    for name, names, reader in _sources():
        candidate, found = _considered(name, names, reader, values, decided=_decided(candidates))
        candidates.append(candidate)
        chosen = chosen or found
    return Decision(candidates=tuple(candidates), chosen=_switched(chosen, values))


def _sources() -> list[tuple[str, tuple[str, ...], Reader]]:
    urls = [(name, (name,), _url_reader(name)) for name in _URLS]
    return [
        *urls,
        ("PG*", (*_PG, *_PG_MORE), _parts_reader(_PG, _PG_MORE)),
        ("DB_*", tuple(_DB), _parts_reader(_DB, {})),
    ]


def _decided(candidates: list[Candidate]) -> Candidate | None:
    return next((candidate for candidate in candidates if candidate.chosen or candidate.broken), None)


def _considered(
    name: str, names: tuple[str, ...], reader: Reader, values: Mapping[str, str], *, decided: Candidate | None
) -> tuple[Candidate, Chosen | None]:
    found = tuple(variable for variable in names if variable in values)
    if not found:
        return Candidate(name=name, found=(), chosen=False, remark=Text("Not set.")), None
    if decided is not None:
        remark = (
            Text("Not looked at: {source} cannot be read.", source=decided.name)
            if decided.broken
            else Text("Not used: {source} comes first.", source=decided.name)
        )
        return Candidate(name=name, found=found, chosen=False, remark=remark), None
    try:
        chosen = reader(values)
    except _Incomplete as error:
        remark = Text("Incomplete: {missing} is not set.", missing=", ".join(error.missing))
        return Candidate(name=name, found=found, chosen=False, remark=remark), None
    except ValidationFailed as error:
        return Candidate(name=name, found=found, chosen=False, broken=True, remark=error.message), None
    return Candidate(name=name, found=found, chosen=True), chosen


def _url_reader(name: str) -> Reader:
    return lambda values: parse_url(values[name])


def _parts_reader(main: Mapping[str, str], more: Mapping[str, str]) -> Reader:
    def read(values: Mapping[str, str]) -> Chosen:
        missing = [variable for variable, field in main.items() if field in _NEEDED and variable not in values]
        if missing:
            raise _Incomplete(missing)
        settings: dict[str, Any] = {"port": 5432}
        remarks = []
        for variable, field in (dict(main) | dict(more)).items():
            if variable in values and field != "password":
                remarks.append(apply_parameter(settings, field, values[variable]) or _NOTHING)
        password = next((values.get(variable, "") for variable, field in main.items() if field == "password"), "")
        return Chosen(engine="postgresql", settings=settings, password=password, remarks=tuple(filter(None, remarks)))

    return read


def _switched(chosen: Chosen | None, values: Mapping[str, str]) -> Chosen | None:
    """Say when the application itself does not use this database."""
    if chosen is None or values.get(_SWITCH, "true").lower() not in ("false", "0", "no", "off"):
        return chosen
    remark = Text("{switch} is off: the application uses its file store, not this database.", switch=_SWITCH)
    return Chosen(
        engine=chosen.engine,
        settings=chosen.settings,
        password=chosen.password,
        remarks=(*chosen.remarks, remark),
    )
