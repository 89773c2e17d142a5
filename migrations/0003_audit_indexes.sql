-- Entries of one bucket follow each other in time, so a flush of a thousand rows touches a page or
-- two of each bucket and not a page for each caller. Finding a caller reads a 256th of the index.
DROP INDEX audit_by_caller;
DROP INDEX audit_by_call;
CREATE INDEX audit_by_caller ON audit (organization, substr(caller_hash, 1, 2), number, caller_hash);
CREATE INDEX audit_by_call ON audit (organization, substr(call_sid, 3, 2), number, call_sid);
