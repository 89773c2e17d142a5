-- The names of sources and fields repeat from row to row: they are written once, and a row's `sources` is the
-- id of what is meant, its `fields` empty. Rows from before hold their lists themselves.
CREATE TABLE audit_names (
    -- a keyed hash of both lists, so that neither can be changed unseen
    names_id      TEXT NOT NULL PRIMARY KEY,
    shown_sources TEXT NOT NULL,
    shown_fields  TEXT NOT NULL
);

-- Sixteen buckets instead of 256: what a flush adds to them is a page or two each, all of it used.
DROP INDEX audit_by_caller;
DROP INDEX audit_by_call;
CREATE INDEX audit_by_caller ON audit (organization, substr(caller_hash, 1, 1), number, caller_hash);
CREATE INDEX audit_by_call ON audit (organization, substr(call_sid, 3, 1), number, call_sid);
