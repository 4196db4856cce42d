-- Membership as a list of spans. Each span has a level, the order or grant it came from, and its time in microseconds.
-- At any instant at most one span of a user runs: the highest level first, and within a level the oldest. The others
-- wait, so [starts_at, ends_at) of the spans of one user never overlap.
--
-- granted = used + taken + (ends_at - starts_at): no time appears or disappears. `used` ran before starts_at, `taken`
-- was removed by a refund or an administrator.
--
-- `memberships` is to the spans what `accounts` is to the ledger: what they add up to since updated_at, read with one row.
ALTER TABLE memberships ADD COLUMN vip_until INTEGER -- end of the VIP time that waits behind SVIP
    CHECK (vip_until IS NULL OR (level = 'SVIP' AND vip_until > expires_at));
CREATE INDEX memberships_waiting ON memberships (vip_until) WHERE vip_until IS NOT NULL;

CREATE TABLE membership_spans (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id     INTEGER NOT NULL REFERENCES users (id),
    level       TEXT NOT NULL CHECK (level IN ('VIP', 'SVIP')),
    order_id    TEXT UNIQUE REFERENCES orders (order_id),
    granted_by  TEXT,                     -- an administrator's key name, 'import', or 'migration'
    granted     INTEGER NOT NULL CHECK (granted > 0),
    used        INTEGER NOT NULL CHECK (used >= 0),
    taken       INTEGER NOT NULL CHECK (taken >= 0),
    starts_at   INTEGER NOT NULL,
    ends_at     INTEGER NOT NULL CHECK (ends_at >= starts_at),
    created_at  INTEGER NOT NULL,
    CHECK ((order_id IS NULL) <> (granted_by IS NULL)),
    CHECK (ends_at - starts_at = granted - used - taken)
) STRICT;
CREATE INDEX membership_spans_by_user ON membership_spans (user_id, starts_at);

-- Today's pairs of level and end. A pair that had ended when it was written has no time left.
UPDATE memberships SET level = 'NORMAL', expires_at = NULL WHERE expires_at <= updated_at;

-- Each paid plan gets its own span, so that its refund removes its own days. Days came on top of what was left, so the
-- newest order has the last days of the pair, and nothing before updated_at is left to run.
INSERT INTO membership_spans (user_id, level, order_id, granted, used, taken, starts_at, ends_at, created_at)
WITH paid AS (
    SELECT o.id, o.order_id, o.user_id, o.plan_level, o.status, f.fulfilled_at, m.level, m.updated_at,
           coalesce(m.expires_at, m.updated_at) AS until, f.vip_days * 86400000000 AS granted,
           86400000000 * min(f.vip_days, coalesce((SELECT sum(r.days_taken) FROM refunds r
               WHERE r.order_id = o.order_id AND r.status <> 'FAILED'), 0)) AS taken
    FROM orders o JOIN fulfilments f ON f.order_id = o.order_id JOIN memberships m ON m.user_id = o.user_id
    WHERE o.channel <> 'original' AND f.vip_days IS NOT NULL
), lasting AS (
    SELECT paid.*, CASE WHEN status = 'PAID' AND level IN (plan_level, 'SVIP') THEN granted - taken ELSE 0 END AS own
    FROM paid
), placed AS (
    SELECT lasting.*, sum(own) OVER (PARTITION BY user_id ORDER BY fulfilled_at DESC, id DESC
               ROWS UNBOUNDED PRECEDING) AS from_end
    FROM lasting
), spans AS (
    SELECT placed.*, max(updated_at, until - from_end) AS starts_at, max(updated_at, until - from_end + own) AS ends_at
    FROM placed
)
SELECT user_id, CASE WHEN ends_at > starts_at THEN level ELSE plan_level END, order_id, granted,
       granted - taken - (ends_at - starts_at), taken, starts_at, ends_at, fulfilled_at
FROM spans ORDER BY id;

-- What no order accounts for was granted.
INSERT INTO membership_spans (user_id, level, granted_by, granted, used, taken, starts_at, ends_at, created_at)
WITH rest AS (
    SELECT m.user_id, m.level, m.updated_at, m.expires_at - m.updated_at - coalesce((SELECT sum(s.ends_at - s.starts_at)
               FROM membership_spans s WHERE s.user_id = m.user_id), 0) AS granted
    FROM memberships m WHERE m.level <> 'NORMAL'
)
SELECT user_id, level, 'migration', granted, 0, 0, updated_at, updated_at + granted, updated_at
FROM rest WHERE granted > 0 ORDER BY user_id;
