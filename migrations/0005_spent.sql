-- What was taken out of the long budgets of sources, slot by slot.
CREATE TABLE spent (
    source    TEXT   NOT NULL,
    -- length of the budget's window
    per       BIGINT NOT NULL,
    -- when the slot began
    at        BIGINT NOT NULL,
    -- one life of one gateway; it alone writes its rows
    life      TEXT   NOT NULL,
    count     BIGINT NOT NULL,
    forget_at BIGINT NOT NULL,
    PRIMARY KEY (source, per, at, life)
);

CREATE INDEX spent_to_forget ON spent (forget_at);
