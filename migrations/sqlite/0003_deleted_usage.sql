-- What deleted users had used of their free quota, so that a new account does not begin at zero. The person is known only
-- as a keyed digest of the openid. Rows go when the person signs up again, or when they expire.
CREATE TABLE deleted_usage (
    person      TEXT NOT NULL,            -- HMAC-SHA256 of the openid, hex
    period      TEXT NOT NULL,            -- as in quota_usage
    used        INTEGER NOT NULL CHECK (used > 0),
    expires_at  INTEGER NOT NULL,
    PRIMARY KEY (person, period)
) STRICT;
CREATE INDEX deleted_usage_by_expiry ON deleted_usage (expires_at);

-- The part of `used` that an earlier account of the same person used.
ALTER TABLE quota_usage ADD COLUMN carried INTEGER NOT NULL DEFAULT 0 CHECK (carried >= 0 AND carried <= used);
