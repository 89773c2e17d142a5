CREATE TABLE api_keys (
    id           TEXT   NOT NULL PRIMARY KEY,
    organization TEXT   NOT NULL,
    view         TEXT   NOT NULL,
    -- SHA-256 of the whole key, in hexadecimal
    hash         TEXT   NOT NULL,
    created_at   BIGINT NOT NULL,
    expires_at   BIGINT,
    revoked_at   BIGINT
);
