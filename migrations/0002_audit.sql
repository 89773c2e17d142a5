CREATE TABLE audit (
    organization  TEXT   NOT NULL,
    -- consecutive within an organization
    number        BIGINT NOT NULL,
    id            TEXT   NOT NULL,
    first_at      BIGINT NOT NULL,
    last_at       BIGINT NOT NULL,
    -- deliveries that the row stands for
    count         BIGINT NOT NULL,
    surface       TEXT   NOT NULL,
    reader        TEXT   NOT NULL,
    view          TEXT   NOT NULL,
    caller_kind   TEXT   NOT NULL,
    caller_sealed TEXT   NOT NULL,
    caller_hash   TEXT   NOT NULL,
    call_sid      TEXT,
    sources       TEXT   NOT NULL,
    fields        TEXT   NOT NULL,
    lookup_status TEXT   NOT NULL,
    -- over the hash of the row before and everything above
    hash          TEXT   NOT NULL,
    PRIMARY KEY (organization, number)
);

CREATE INDEX audit_by_caller ON audit (organization, caller_hash, number);
CREATE INDEX audit_by_call ON audit (organization, call_sid, number);

-- where each organization's chain begins (after the last row that retention took) and ends
CREATE TABLE audit_chains (
    organization  TEXT   NOT NULL PRIMARY KEY,
    number        BIGINT NOT NULL,
    hash          TEXT   NOT NULL,
    anchor_number BIGINT NOT NULL,
    anchor_hash   TEXT   NOT NULL,
    -- over all of the above: neither end can be moved without the key
    proof         TEXT   NOT NULL
);
