"""What belongs to a database but is not in its dump: encoding, locale, owner, settings, privileges, comment."""

from __future__ import annotations

from typing import Any

from dbadmin.engines.postgresql.sessions import Session

# Every dump is written in it, so that the rows of two dumps can be compared.
TIME_ZONE = "UTC"

_DATABASE = """
SELECT to_jsonb(d) - 'oid' - 'datacl', pg_encoding_to_char(d.encoding), pg_get_userbyid(d.datdba),
       shobj_description(d.oid, 'pg_database'), pg_database_size(d.oid),
       CASE WHEN pg_is_in_recovery() THEN pg_last_wal_replay_lsn() ELSE pg_current_wal_lsn() END::text,
       current_setting('server_version'), current_setting('server_version_num')::int, pg_is_in_recovery()
FROM pg_database d WHERE d.datname = current_database()
"""
_PRIVILEGES = """
SELECT coalesce(r.rolname, ''), a.privilege_type, a.is_grantable FROM pg_database d, aclexplode(d.datacl) a
LEFT JOIN pg_roles r ON r.oid = a.grantee WHERE d.datname = current_database() ORDER BY 1, 2
"""
_SETTINGS = """
SELECT coalesce(r.rolname, ''), unnest(s.setconfig) FROM pg_db_role_setting s LEFT JOIN pg_roles r ON r.oid = s.setrole
WHERE s.setdatabase = (SELECT oid FROM pg_database WHERE datname = current_database()) ORDER BY 1, 2
"""
# o: owns something, a: is granted something, r: a policy names it.
_ROLES = """
SELECT DISTINCT r.rolname, s.deptype = 'r' FROM pg_shdepend s JOIN pg_roles r ON r.oid = s.refobjid
WHERE s.refclassid = 'pg_authid'::regclass AND s.dbid = (SELECT oid FROM pg_database WHERE datname = current_database())
ORDER BY 1
"""
# How rows look in the dump. Read in the dumping role's own session, since roles may have settings of their own.
_OUTPUT = ("bytea_output", "xmlbinary")
_LISTS = {
    "schemas": "SELECT nspname FROM pg_namespace WHERE nspname <> 'information_schema' AND nspname !~ '^pg_'"
    " ORDER BY 1",
    "tablespaces": "SELECT DISTINCT t.spcname FROM pg_class c JOIN pg_tablespace t ON t.oid = c.reltablespace"
    " WHERE t.spcname <> 'pg_global' ORDER BY 1",
}


def read_origin(session: Session) -> dict[str, Any]:
    """Return JSON values: what ``restore`` needs to make an equal database, and what the manifest tells readers."""
    row = session.execute(_DATABASE).fetchone()
    assert row is not None
    stored, encoding, owner, comment, size, lsn, version, number, in_recovery = row
    roles = session.execute(_ROLES).fetchall()
    return {
        "name": stored["datname"],
        "server_version": version.split()[0],
        "server_version_num": number,
        "in_recovery": in_recovery,
        "size_bytes": size,
        "snapshot_lsn": lsn,
        "encoding": encoding,
        "locale_provider": stored.get("datlocprovider", "c"),
        "collate": stored["datcollate"],
        "ctype": stored["datctype"],
        "locale": stored.get("datlocale") or stored.get("daticulocale") or "",
        "icu_rules": stored.get("daticurules") or "",
        "owner": owner,
        "comment": comment or "",
        "connection_limit": stored["datconnlimit"],
        "privileges": [list(entry) for entry in session.execute(_PRIVILEGES)],
        "settings": [list(entry) for entry in session.execute(_SETTINGS)],
        "extensions": dict(session.execute("SELECT extname, extversion FROM pg_extension ORDER BY 1").fetchall()),
        "roles": sorted({name for name, _ in roles} | {owner}),
        "policy_roles": [name for name, by_policy in roles if by_policy],
        "output": {name: _setting(session, name) for name in _OUTPUT} | {"TimeZone": TIME_ZONE},
        **{key: [name for (name,) in session.execute(query.encode())] for key, query in _LISTS.items()},
    }


def _setting(session: Session, name: str) -> str:
    row = session.execute("SELECT current_setting(%s)", (name,)).fetchone()
    assert row is not None
    return str(row[0])
