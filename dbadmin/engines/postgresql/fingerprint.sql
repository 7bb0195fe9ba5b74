-- What a schema is made of, as rows of text. Each query below is put after this beginning.
WITH members AS (
  SELECT classid, objid FROM pg_depend
  WHERE deptype = 'e' OR (deptype = 'i' AND classid = 'pg_proc'::regclass)
),
spaces AS (
  SELECT n.oid, n.nspname FROM pg_namespace n
  WHERE n.nspname <> 'information_schema' AND n.nspname !~ '^pg_'
    AND NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_namespace'::regclass AND m.objid = n.oid)
),
relations AS (
  SELECT c.*, s.nspname FROM pg_class c JOIN spaces s ON s.oid = c.relnamespace
  WHERE c.relpersistence <> 't'
    AND NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_class'::regclass AND m.objid = c.oid)
),
types AS (
  SELECT t.*, s.nspname FROM pg_type t JOIN spaces s ON s.oid = t.typnamespace
  WHERE NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_type'::regclass AND m.objid = t.oid)
),
functions AS (
  SELECT p.*, s.nspname FROM pg_proc p JOIN spaces s ON s.oid = p.pronamespace
  WHERE NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_proc'::regclass AND m.objid = p.oid)
)

--; schema
SELECT nspname FROM spaces

--; extension
SELECT x.extname, n.nspname FROM pg_extension x JOIN pg_namespace n ON n.oid = x.extnamespace

--; relation
SELECT nspname, relname, relkind::text, relpersistence::text, relrowsecurity, relforcerowsecurity, relreplident::text,
  (SELECT string_agg(o, ',' ORDER BY o) FROM unnest(reloptions) o),
  pg_get_partkeydef(oid), pg_get_expr(relpartbound, oid),
  (SELECT string_agg(i.inhparent::regclass::text, ',' ORDER BY i.inhseqno) FROM pg_inherits i WHERE i.inhrelid = oid)
FROM relations WHERE relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

--; column
-- The order of inherited columns is not kept by a dump; identity of partitions is their parent's since 17.
SELECT r.nspname, r.relname, a.attname,
  CASE WHEN EXISTS (SELECT 1 FROM pg_inherits i WHERE i.inhrelid = r.oid) THEN 0
    ELSE row_number() OVER (PARTITION BY r.oid ORDER BY a.attnum) END,
  format_type(a.atttypid, a.atttypmod), a.attnotnull, a.attgenerated::text,
  CASE WHEN r.relispartition THEN '' ELSE a.attidentity::text END, pg_get_expr(d.adbin, d.adrelid),
  CASE WHEN a.attcollation <> t.typcollation THEN a.attcollation::regcollation::text END
FROM relations r JOIN pg_attribute a ON a.attrelid = r.oid AND a.attnum > 0 AND NOT a.attisdropped
JOIN pg_type t ON t.oid = a.atttypid
LEFT JOIN pg_attrdef d ON d.adrelid = a.attrelid AND d.adnum = a.attnum
WHERE r.relkind IN ('r', 'p', 'v', 'm', 'f', 'c')

--; constraint
SELECT s.nspname, coalesce(nullif(k.conrelid, 0)::regclass::text, k.contypid::regtype::text), k.conname,
  pg_get_constraintdef(k.oid), k.convalidated
FROM pg_constraint k JOIN spaces s ON s.oid = k.connamespace LEFT JOIN relations r ON r.oid = k.conrelid
WHERE k.conparentid = 0 AND k.contype IN ('c', 'f', 'p', 'u', 'x') AND (k.conrelid = 0 OR r.oid IS NOT NULL)

--; index
SELECT r.nspname, r.relname, pg_get_indexdef(i.indexrelid), i.indisvalid, i.indisreplident, i.indisclustered
FROM pg_index i JOIN relations r ON r.oid = i.indexrelid

--; sequence
SELECT r.nspname, r.relname, format_type(s.seqtypid, NULL), s.seqstart, s.seqincrement, s.seqmin, s.seqmax, s.seqcycle,
  s.seqcache, (
    SELECT d.refobjid::regclass::text || '.' || a.attname FROM pg_depend d
    JOIN pg_attribute a ON a.attrelid = d.refobjid AND a.attnum = d.refobjsubid
    WHERE d.objid = s.seqrelid AND d.classid = 'pg_class'::regclass AND d.refclassid = 'pg_class'::regclass
      AND d.deptype IN ('a', 'i') LIMIT 1
  )
FROM pg_sequence s JOIN relations r ON r.oid = s.seqrelid

--; trigger
SELECT r.nspname, r.relname, g.tgname, pg_get_triggerdef(g.oid), g.tgenabled::text
FROM pg_trigger g JOIN relations r ON r.oid = g.tgrelid WHERE NOT g.tgisinternal AND g.tgparentid = 0

--; enum
SELECT nspname, typname, (
  SELECT string_agg(quote_literal(l.enumlabel), ',' ORDER BY l.enumsortorder) FROM pg_enum l WHERE l.enumtypid = oid
)
FROM types WHERE typtype = 'e'

--; domain
SELECT nspname, typname, format_type(typbasetype, typtypmod), typnotnull, typdefault FROM types WHERE typtype = 'd'

--; range
SELECT t.nspname, t.typname, format_type(g.rngsubtype, NULL) FROM pg_range g JOIN types t ON t.oid = g.rngtypid

--; function
SELECT nspname, proname, pg_get_function_identity_arguments(oid), pg_get_functiondef(oid)
FROM functions WHERE prokind IN ('f', 'p', 'w')

--; aggregate
SELECT p.nspname, p.proname, pg_get_function_identity_arguments(p.oid), format_type(p.prorettype, NULL),
  a.aggtransfn::text, a.aggfinalfn::text, a.agginitval
FROM pg_aggregate a JOIN functions p ON p.oid = a.aggfnoid

--; operator
SELECT s.nspname, o.oprname, format_type(o.oprleft, NULL), format_type(o.oprright, NULL), o.oprcode::text
FROM pg_operator o JOIN spaces s ON s.oid = o.oprnamespace
WHERE NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_operator'::regclass AND m.objid = o.oid)

--; statistics
SELECT s.nspname, x.stxname, pg_get_statisticsobjdef(x.oid) FROM pg_statistic_ext x JOIN spaces s ON s.oid = x.stxnamespace

--; event trigger
SELECT t.evtname, t.evtevent, t.evtfoid::regproc::text, t.evtenabled::text, t.evttags::text FROM pg_event_trigger t
WHERE NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = 'pg_event_trigger'::regclass AND m.objid = t.oid)

--; view
SELECT nspname, relname, pg_get_viewdef(oid) FROM relations WHERE relkind IN ('v', 'm')

--; rule
SELECT r.nspname, r.relname, w.rulename, pg_get_ruledef(w.oid), w.ev_enabled::text
FROM pg_rewrite w JOIN relations r ON r.oid = w.ev_class WHERE w.rulename <> '_RETURN'

--; policy
SELECT r.nspname, r.relname, p.polname, p.polcmd::text, p.polpermissive,
  (SELECT string_agg(o.rolname, ',' ORDER BY o.rolname) FROM pg_roles o WHERE o.oid = ANY (p.polroles)),
  pg_get_expr(p.polqual, p.polrelid), pg_get_expr(p.polwithcheck, p.polrelid)
FROM pg_policy p JOIN relations r ON r.oid = p.polrelid

--; comment
SELECT i.type, i.identity, d.description
FROM pg_description d, LATERAL pg_identify_object(d.classoid, d.objoid, d.objsubid) i
WHERE d.objoid >= 16384
  AND d.classoid IN ('pg_class'::regclass, 'pg_proc'::regclass, 'pg_type'::regclass, 'pg_namespace'::regclass)
  AND NOT EXISTS (SELECT 1 FROM members m WHERE m.classid = d.classoid AND m.objid = d.objoid)
