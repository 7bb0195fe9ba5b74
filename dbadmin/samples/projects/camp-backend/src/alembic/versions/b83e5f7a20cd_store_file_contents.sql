CREATE TABLE file_contents (
    file_id integer PRIMARY KEY REFERENCES sample_files ON DELETE CASCADE,
    thumbnail bytea,
    thumbnail_size integer GENERATED ALWAYS AS (octet_length(thumbnail)) STORED,
    original oid
);
COMMENT ON COLUMN file_contents.original IS 'OID of a large object';

CREATE MATERIALIZED VIEW storage_usage AS
SELECT user_id, count(*) AS files, sum(size) AS bytes FROM sample_files GROUP BY user_id
WITH NO DATA;
