"""One value that is equal for equal schemas, on every server version from 13 to 18 and after every restore.

Owners and grants are left out: a copy may be restored without them. So is what servers of different versions write
differently for the same thing: the names by which views qualify columns, NOT NULL as a constraint (18), types and
functions that come with a range (14).
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Iterator
from typing import LiteralString

from dbadmin.engines.postgresql.sessions import Session

_OWN: LiteralString = "n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'"


def _of_extension(catalogue: LiteralString, oid: LiteralString) -> LiteralString:
    return (
        "EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = '"
        + catalogue
        + "'::regclass AND e.objid = "
        + oid
        + " AND e.deptype IN ('e', 'i') AND (e.deptype = 'e' OR e.classid = 'pg_proc'::regclass))"
    )


_CLASS: LiteralString = (
    "FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace WHERE "
    + _OWN
    + " AND c.relpersistence <> 't' AND NOT "
    + _of_extension("pg_class", "c.oid")
)
_RELATION: LiteralString = "(SELECT c.oid, n.nspname, c.relname, c.relkind, c.relispartition " + _CLASS + ")"

# Each returns rows of text that name one thing and say what it is. NORMALISED ones hold deparsed queries.
_PLAIN: tuple[LiteralString, ...] = (
    "SELECT 'schema', n.nspname FROM pg_namespace n WHERE "
    + _OWN
    + " AND NOT "
    + _of_extension("pg_namespace", "n.oid"),
    "SELECT 'extension', x.extname, n.nspname FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace",
    "SELECT 'relation', n.nspname, c.relname, c.relkind::text, c.relpersistence::text,"
    " (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(c.reloptions) o), c.relrowsecurity, c.relforcerowsecurity,"
    " c.relreplident::text,"
    " pg_get_partkeydef(c.oid), pg_get_expr(c.relpartbound, c.oid), (SELECT string_agg(i.inhparent::regclass::text, ','"
    " ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = c.oid AND c.relkind NOT IN ('i', 'I')) "
    + _CLASS
    + " AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
    "SELECT 'column', r.nspname, r.relname, a.attname, CASE WHEN EXISTS (SELECT 1 FROM pg_inherits i WHERE"
    " i.inhrelid = r.oid) THEN 0 ELSE row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum) END,"
    " format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text,"
    " CASE WHEN r.relispartition THEN '' ELSE a.attidentity::text END, pg_get_expr(d.adbin, d.adrelid),"
    " CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END"
    " FROM " + _RELATION + " r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped"
    " JOIN pg_type t ON t.oid = a.atttypid LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum"
    " WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')",
    "SELECT 'constraint', n.nspname, coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text),"
    " k.conname, pg_get_constraintdef(k.oid), k.convalidated FROM pg_constraint k"
    " JOIN pg_namespace n ON n.oid = k.connamespace LEFT JOIN " + _RELATION + " r ON r.oid = k.conrelid"
    " WHERE " + _OWN + " AND k.conparentid = 0 AND k.contype IN ('c', 'f', 'p', 'u', 'x')"
    " AND (k.conrelid = 0 OR r.oid IS NOT NULL)",
    "SELECT 'index', r.nspname, r.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident,"
    " i.indisclustered FROM pg_index i JOIN " + _RELATION + " r ON r.oid = i.indexrelid",
    "SELECT 'sequence', r.nspname, r.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin,"
    " s.seqmax, s.seqcycle, s.seqcache, (SELECT d.refobjid::regclass::text || '.' || a.attname FROM pg_depend d JOIN"
    " pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid WHERE d.objid = s.seqrelid AND d.classid ="
    " 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass AND d.deptype IN ('a', 'i') LIMIT 1)"
    " FROM pg_sequence s JOIN " + _RELATION + " r ON r.oid = s.seqrelid",
    "SELECT 'trigger', r.nspname, r.relname, g.tgname, pg_get_triggerdef(g.oid), g.tgenabled::text FROM pg_trigger g"
    " JOIN " + _RELATION + " r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgparentid = 0",
    "SELECT 'enum', n.nspname, t.typname, (SELECT string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder)"
    " FROM pg_enum l WHERE l.enumtypid = t.oid) FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
    " WHERE t.typtype = 'e' AND " + _OWN + " AND NOT " + _of_extension("pg_type", "t.oid"),
    "SELECT 'domain', n.nspname, t.typname, format_type(t.typbasetype, t.typtypmod), t.typnotnull, t.typdefault"
    " FROM pg_type t JOIN pg_namespace n ON n.oid = t.typnamespace"
    " WHERE t.typtype = 'd' AND " + _OWN + " AND NOT " + _of_extension("pg_type", "t.oid"),
    "SELECT 'range', n.nspname, t.typname, format_type(g.rngsubtype, NULL) FROM pg_range g"
    " JOIN pg_type t ON t.oid = g.rngtypid JOIN pg_namespace n ON n.oid = t.typnamespace"
    " WHERE " + _OWN + " AND NOT " + _of_extension("pg_type", "t.oid"),
    "SELECT 'aggregate', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid),"
    " format_type(p.prorettype, NULL), a.aggtransfn::text, a.aggfinalfn::text, a.agginitval"
    " FROM pg_aggregate a JOIN pg_proc p ON p.oid = a.aggfnoid JOIN pg_namespace n ON n.oid = p.pronamespace"
    " WHERE " + _OWN + " AND NOT " + _of_extension("pg_proc", "p.oid"),
    "SELECT 'statistics', n.nspname, s.stxname, pg_get_statisticsobjdef(s.oid) FROM pg_statistic_ext s"
    " JOIN pg_namespace n ON n.oid = s.stxnamespace WHERE " + _OWN,
    "SELECT 'event trigger', t.evtname, t.evtevent, t.evtfoid::regproc::text, t.evtenabled::text, t.evttags::text"
    " FROM pg_event_trigger t WHERE NOT " + _of_extension("pg_event_trigger", "t.oid"),
    "SELECT 'comment', i.type, i.identity, d.description FROM pg_description d,"
    " LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i WHERE d.objoid >= 16384"
    " AND d.classoid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass)"
    " AND i.schema IS DISTINCT FROM 'pg_toast' AND NOT EXISTS (SELECT 1 FROM pg_depend e WHERE e.classid = d.classoid"
    " AND e.objid = d.objoid AND e.deptype = 'e')",
)
_NORMALISED: tuple[LiteralString, ...] = (
    "SELECT 'view', r.nspname, r.relname, pg_get_viewdef(r.oid) FROM " + _RELATION + " r WHERE r.relkind IN ('v', 'm')",
    "SELECT 'rule', r.nspname, r.relname, w.rulename, pg_get_ruledef(w.oid), w.ev_enabled::text FROM pg_rewrite w"
    " JOIN " + _RELATION + " r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'",
    "SELECT 'policy', r.nspname, r.relname, p.polname, p.polcmd::text, p.polpermissive, (SELECT string_agg(o.rolname,"
    " ',' ORDER BY o.rolname) FROM pg_roles o WHERE o.oid = ANY (p.polroles)), pg_get_expr(p.polqual, p.polrelid),"
    " pg_get_expr(p.polwithcheck, p.polrelid) FROM pg_policy p JOIN " + _RELATION + " r ON r.oid = p.polrelid",
)
_FUNCTIONS: LiteralString = (
    "SELECT 'function', n.nspname, p.proname, pg_get_function_identity_arguments(p.oid), pg_get_functiondef(p.oid)"
    " FROM pg_proc p JOIN pg_namespace n ON n.oid = p.pronamespace WHERE p.prokind IN ('f', 'p', 'w') AND "
    + _OWN
    + " AND NOT "
    + _of_extension("pg_proc", "p.oid")
)
_SQL_BODY = re.compile(r"^\s*(BEGIN ATOMIC|RETURN )", re.MULTILINE)
# A literal or a comment-free word is kept; names before a dot go, but not the two rows of a rule or trigger.
_QUALIFIER = re.compile(r"""('(?:[^']|'')*')|(?:"(?:[^"]|"")+"|\b(?!(?:old|new)\.)[^\W\d]\w*)\.(?=["*\w])|(\s+)""")


def schema_fingerprint(session: Session) -> str:
    """Return the SHA-256 of the schema as the session sees it. Needs an empty search_path, so that names are whole."""
    digest = hashlib.sha256()
    for line in sorted(_lines(session)):
        digest.update(line.encode() + b"\n")
    return digest.hexdigest()


def schema_lines(session: Session) -> list[str]:
    """Return what the fingerprint is made of, sorted, for comparing two schemas."""
    return sorted(_lines(session))


def _lines(session: Session) -> Iterator[str]:
    for query in _PLAIN:
        yield from (_line(row) for row in session.execute(query))
    for query in _NORMALISED:
        yield from (_unqualified(_line(row)) for row in session.execute(query))
    for row in session.execute(_FUNCTIONS):
        line = _line(row)
        yield _unqualified(line) if _SQL_BODY.search(row[-1]) else line


def _line(row: tuple[object, ...]) -> str:
    return "\x1f".join("" if value is None else str(value) for value in row)


def _unqualified(text: str) -> str:
    return _QUALIFIER.sub(lambda found: found.group(1) or (" " if found.group(2) else ""), text)
