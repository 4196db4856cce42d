-- Times are microseconds since 1970 (UTC). Amounts are fen, points or samples. JSON is kept as text.
-- Invariants of the business stand here as constraints; the code relies on them.

-- Users ---------------------------------------------------------------------------------------------------------
CREATE TABLE users (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    openid      TEXT UNIQUE,              -- NULL once the account is deleted
    unionid     TEXT,
    phone       TEXT,
    nick_name   TEXT,
    name_key    TEXT,                     -- the name in lower case, for searches: databases fold ASCII at best
    avatar_url  TEXT,
    created_at  INTEGER NOT NULL,
    updated_at  INTEGER NOT NULL,
    deleted_at  INTEGER,
    CHECK ((deleted_at IS NULL) = (openid IS NOT NULL)),
    CHECK (deleted_at IS NULL OR (unionid IS NULL AND phone IS NULL AND nick_name IS NULL AND avatar_url IS NULL)),
    CHECK ((nick_name IS NULL) = (name_key IS NULL))
) STRICT;
CREATE INDEX users_by_age ON users (created_at, id);

CREATE TABLE token_families (
    id          TEXT PRIMARY KEY,
    user_id     INTEGER NOT NULL REFERENCES users (id),
    created_at  INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,         -- of the youngest token in it
    revoked_at  INTEGER,
    reason      TEXT CHECK (reason IN ('LOGOUT', 'REUSE', 'DELETED', 'ADMIN')),
    CHECK ((revoked_at IS NULL) = (reason IS NULL))
) STRICT;
CREATE INDEX token_families_by_user ON token_families (user_id);
CREATE INDEX token_families_by_expiry ON token_families (expires_at);

CREATE TABLE refresh_tokens (
    token_hash  TEXT PRIMARY KEY,         -- SHA-256, hex; the token itself is nowhere
    family_id   TEXT NOT NULL REFERENCES token_families (id) ON DELETE CASCADE,
    issued_at   INTEGER NOT NULL,
    expires_at  INTEGER NOT NULL,
    spent_at    INTEGER
) STRICT;
CREATE INDEX refresh_tokens_by_family ON refresh_tokens (family_id);

-- VIP -----------------------------------------------------------------------------------------------------------
CREATE TABLE memberships (
    user_id     INTEGER PRIMARY KEY REFERENCES users (id),
    level       TEXT NOT NULL CHECK (level IN ('NORMAL', 'VIP', 'SVIP')),
    expires_at  INTEGER,
    updated_at  INTEGER NOT NULL,
    CHECK ((level = 'NORMAL') = (expires_at IS NULL))
) STRICT;
CREATE INDEX memberships_by_level ON memberships (level, expires_at);

CREATE TABLE plans (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    plan_id         TEXT NOT NULL UNIQUE,
    name            TEXT NOT NULL,
    level           TEXT NOT NULL CHECK (level IN ('VIP', 'SVIP')),
    duration_days   INTEGER NOT NULL CHECK (duration_days > 0),
    original_price  INTEGER NOT NULL CHECK (original_price >= 0),
    current_price   INTEGER NOT NULL CHECK (current_price > 0),
    benefits        TEXT NOT NULL,
    popular         INTEGER NOT NULL CHECK (popular IN (0, 1)),
    active          INTEGER NOT NULL CHECK (active IN (0, 1)),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

-- Points --------------------------------------------------------------------------------------------------------
CREATE TABLE accounts (
    user_id       INTEGER PRIMARY KEY REFERENCES users (id),
    balance       INTEGER NOT NULL CHECK (balance >= 0),
    earned        INTEGER NOT NULL CHECK (earned >= 0),
    spent         INTEGER NOT NULL CHECK (spent >= 0),
    returned      INTEGER NOT NULL CHECK (returned >= 0),
    earn_count    INTEGER NOT NULL,
    spend_count   INTEGER NOT NULL,
    refund_count  INTEGER NOT NULL,
    CHECK (balance = earned - spent + returned)
) STRICT;

CREATE TABLE ledger_entries (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id        INTEGER NOT NULL REFERENCES accounts (user_id),
    type           TEXT NOT NULL CHECK (type IN ('EARN', 'SPEND', 'REFUND')),
    amount         INTEGER NOT NULL CHECK (amount > 0),
    balance_after  INTEGER NOT NULL CHECK (balance_after >= 0),
    cause          TEXT NOT NULL,         -- what is booked: 'order', 'order_refund', 'generation', 'generation_return', 'admin', 'original'
    cause_id       TEXT NOT NULL,
    description    TEXT NOT NULL,
    order_id       TEXT,
    generation_id  INTEGER,
    created_at     INTEGER NOT NULL,
    UNIQUE (cause, cause_id)              -- a cause is booked once
) STRICT;
CREATE INDEX ledger_by_user ON ledger_entries (user_id, created_at, id);
CREATE INDEX ledger_by_user_type ON ledger_entries (user_id, type, created_at, id);

-- Quota: samples used in a day ('D2026-01-28') or month ('M2026-01') of the business's zone.
CREATE TABLE quota_usage (
    user_id  INTEGER NOT NULL REFERENCES users (id),
    period   TEXT NOT NULL,
    used     INTEGER NOT NULL CHECK (used >= 0),
    PRIMARY KEY (user_id, period)
) STRICT;

-- Orders --------------------------------------------------------------------------------------------------------
CREATE TABLE orders (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    order_id         TEXT NOT NULL UNIQUE,
    user_id          INTEGER NOT NULL REFERENCES users (id),
    kind             TEXT NOT NULL CHECK (kind IN ('VIP', 'POINTS')),
    channel          TEXT NOT NULL,
    status           TEXT NOT NULL CHECK (status IN ('PENDING', 'PAID', 'CANCELLED', 'REFUNDED')),
    amount           INTEGER NOT NULL CHECK (amount > 0),
    plan_id          TEXT,
    plan_name        TEXT,
    plan_level       TEXT CHECK (plan_level IN ('VIP', 'SVIP')),
    duration_days    INTEGER CHECK (duration_days > 0),
    points           INTEGER CHECK (points > 0),
    payer            TEXT,                -- openid at the channel; NULL once the account is deleted
    description      TEXT NOT NULL,       -- as first sent to the channel, which wants every repeat alike
    prepay_id        TEXT,
    prepaid_at       INTEGER,
    transaction_id   TEXT,
    paid_at          INTEGER,
    vip_expire_at    INTEGER,
    expire_at        INTEGER NOT NULL,
    cancelled_at     INTEGER,
    refunded_at      INTEGER,
    refunded_amount  INTEGER NOT NULL DEFAULT 0 CHECK (refunded_amount >= 0 AND refunded_amount <= amount),
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    UNIQUE (channel, transaction_id),
    CHECK ((kind = 'VIP') = (plan_id IS NOT NULL)),
    CHECK ((kind = 'VIP') = (duration_days IS NOT NULL)),
    CHECK ((kind = 'POINTS') = (points IS NOT NULL)),
    CHECK ((status IN ('PAID', 'REFUNDED')) = (paid_at IS NOT NULL)),
    CHECK ((paid_at IS NULL) = (transaction_id IS NULL)),
    CHECK (status <> 'REFUNDED' OR refunded_at IS NOT NULL)
) STRICT;
CREATE INDEX orders_by_user ON orders (user_id, created_at, id);
CREATE INDEX orders_by_age ON orders (created_at, id);
CREATE INDEX orders_pending ON orders (expire_at) WHERE status = 'PENDING';
CREATE INDEX orders_paid ON orders (paid_at) WHERE paid_at IS NOT NULL;

-- What was given for an order. The key makes it once.
CREATE TABLE fulfilments (
    order_id      TEXT PRIMARY KEY REFERENCES orders (order_id),
    points        INTEGER CHECK (points > 0),
    vip_level     TEXT CHECK (vip_level IN ('VIP', 'SVIP')),
    vip_days      INTEGER CHECK (vip_days > 0),
    vip_until     INTEGER,
    fulfilled_at  INTEGER NOT NULL,
    CHECK ((points IS NULL) <> (vip_level IS NULL))
) STRICT;

-- Every payment the channel confirmed. A second one for the same order is a surplus and goes back.
CREATE TABLE payments (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    channel         TEXT NOT NULL,
    transaction_id  TEXT NOT NULL,
    order_id        TEXT NOT NULL REFERENCES orders (order_id),
    amount          INTEGER NOT NULL CHECK (amount > 0),
    surplus         INTEGER NOT NULL CHECK (surplus IN (0, 1)),
    paid_at         INTEGER NOT NULL,
    recorded_at     INTEGER NOT NULL,
    UNIQUE (channel, transaction_id)
) STRICT;
CREATE INDEX payments_by_order ON payments (order_id);
CREATE UNIQUE INDEX payments_one_per_order ON payments (order_id) WHERE NOT surplus;

CREATE TABLE refunds (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    refund_id       TEXT NOT NULL UNIQUE,
    order_id        TEXT NOT NULL REFERENCES orders (order_id),
    transaction_id  TEXT NOT NULL,
    amount          INTEGER NOT NULL CHECK (amount > 0),
    total           INTEGER NOT NULL CHECK (total >= amount),
    reason          TEXT NOT NULL,
    surplus         INTEGER NOT NULL CHECK (surplus IN (0, 1)),
    status          TEXT NOT NULL CHECK (status IN ('PROCESSING', 'SUCCEEDED', 'FAILED')),
    points_taken    INTEGER NOT NULL DEFAULT 0 CHECK (points_taken >= 0),
    days_taken      INTEGER NOT NULL DEFAULT 0 CHECK (days_taken >= 0),
    channel_refund  TEXT,
    failure         TEXT,
    requested_by    TEXT NOT NULL,
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX refunds_by_order ON refunds (order_id);

-- First answers by idempotency key.
CREATE TABLE idempotency_keys (
    user_id       INTEGER NOT NULL REFERENCES users (id),
    scope         TEXT NOT NULL,
    key           TEXT NOT NULL,
    request_hash  TEXT NOT NULL,
    subject       TEXT NOT NULL,          -- id of what the first call made
    created_at    INTEGER NOT NULL,
    PRIMARY KEY (user_id, scope, key)
) STRICT;
CREATE INDEX idempotency_keys_by_age ON idempotency_keys (created_at);

-- Generation ----------------------------------------------------------------------------------------------------
CREATE TABLE generations (
    id               INTEGER PRIMARY KEY AUTOINCREMENT,
    job_id           TEXT NOT NULL UNIQUE,
    user_id          INTEGER NOT NULL REFERENCES users (id),
    upstream_id      TEXT UNIQUE,
    status           TEXT NOT NULL CHECK (status IN ('QUEUED', 'RUNNING', 'RETRYING', 'SUCCEEDED', 'FAILED', 'CANCELED')),
    prompt           TEXT NOT NULL,
    mode             TEXT NOT NULL CHECK (mode IN ('draft', 'final')),
    resolution       TEXT CHECK (resolution IN ('1K', '2K', '4K')),
    aspect_ratio     TEXT,
    sample_count     INTEGER NOT NULL CHECK (sample_count BETWEEN 1 AND 10),
    request          TEXT NOT NULL,       -- the rest of what is sent upstream, as JSON
    category         TEXT,                -- of the template it was made from
    upstream_key     TEXT,                -- the caller's own upstream credential, sealed; gone when the job has ended
    quota_day        TEXT NOT NULL,
    quota_month      TEXT NOT NULL,
    quota_charged    INTEGER NOT NULL CHECK (quota_charged >= 0),
    points_charged   INTEGER NOT NULL CHECK (points_charged >= 0),
    charge           TEXT NOT NULL CHECK (charge IN ('HELD', 'CAPTURED', 'RETURNED')),
    result_urls      TEXT NOT NULL,
    thumbnail_url    TEXT,
    error_code       TEXT,
    error_message    TEXT,
    submitted_at     INTEGER,             -- when the first try to submit began
    created_at       INTEGER NOT NULL,
    updated_at       INTEGER NOT NULL,
    completed_at     INTEGER,
    CHECK ((status IN ('SUCCEEDED', 'FAILED', 'CANCELED')) = (completed_at IS NOT NULL)),
    CHECK ((charge = 'HELD') = (completed_at IS NULL)),
    CHECK ((charge = 'CAPTURED') = (status = 'SUCCEEDED')),
    CHECK (upstream_key IS NULL OR completed_at IS NULL)
) STRICT;
CREATE INDEX generations_by_user ON generations (user_id, created_at, id);
CREATE INDEX generations_by_user_status ON generations (user_id, status, created_at, id);
CREATE INDEX generations_open ON generations (created_at) WHERE completed_at IS NULL;
CREATE INDEX generations_open_of ON generations (user_id, created_at, id) WHERE completed_at IS NULL;

-- Completion notices of the image API, by its event id, so that each counts once.
CREATE TABLE webhook_events (
    event_id     TEXT PRIMARY KEY,
    upstream_id  TEXT NOT NULL,
    received_at  INTEGER NOT NULL
) STRICT;
CREATE INDEX webhook_events_by_age ON webhook_events (received_at);

-- Outbox --------------------------------------------------------------------------------------------------------
-- What must follow a commit. Written in that commit; done by a worker, idempotently, under a lease.
CREATE TABLE outbox (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    kind         TEXT NOT NULL,
    subject      TEXT NOT NULL,
    payload      TEXT NOT NULL,
    priority     INTEGER NOT NULL,         -- its head start in the queue, in microseconds
    due_at       INTEGER NOT NULL,
    attempts     INTEGER NOT NULL,
    lease        TEXT,
    leased_until INTEGER,
    last_error   TEXT,
    created_at   INTEGER NOT NULL,
    UNIQUE (kind, subject),
    CHECK ((lease IS NULL) = (leased_until IS NULL))
) STRICT;
CREATE INDEX outbox_due ON outbox (due_at);

-- Favorites, gallery, templates ---------------------------------------------------------------------------------
CREATE TABLE favorites (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    type         TEXT NOT NULL CHECK (type IN ('image', 'prompt')),
    resource_id  TEXT NOT NULL,
    created_at   INTEGER NOT NULL,
    UNIQUE (user_id, type, resource_id)
) STRICT;
CREATE INDEX favorites_by_user ON favorites (user_id, created_at, id);
CREATE INDEX favorites_by_user_type ON favorites (user_id, type, created_at, id);

CREATE TABLE gallery_images (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    author_id      INTEGER REFERENCES users (id),
    job_id         TEXT,
    result_index   INTEGER,
    image_url      TEXT NOT NULL,
    thumbnail_url  TEXT NOT NULL,
    prompt         TEXT NOT NULL,
    category       TEXT NOT NULL,
    tags           TEXT NOT NULL,
    likes          INTEGER NOT NULL CHECK (likes >= 0),
    status         TEXT NOT NULL CHECK (status IN ('PENDING', 'PUBLIC', 'REJECTED', 'REMOVED')),
    barred         INTEGER NOT NULL DEFAULT 0 CHECK (barred IN (0, 1)), -- its result may not be published again
    seed           TEXT UNIQUE,           -- names the pictures that come with the program
    created_at     INTEGER NOT NULL,
    updated_at     INTEGER NOT NULL,
    CHECK ((job_id IS NULL) = (result_index IS NULL))
) STRICT;
CREATE UNIQUE INDEX gallery_once_per_result ON gallery_images (job_id, result_index) WHERE status <> 'REMOVED' OR barred;
CREATE INDEX gallery_latest ON gallery_images (created_at, id) WHERE status = 'PUBLIC';
CREATE INDEX gallery_latest_in ON gallery_images (category, created_at, id) WHERE status = 'PUBLIC';
CREATE INDEX gallery_popular ON gallery_images (likes, id) WHERE status = 'PUBLIC';
CREATE INDEX gallery_popular_in ON gallery_images (category, likes, id) WHERE status = 'PUBLIC';
CREATE INDEX gallery_not_public ON gallery_images (status, created_at, id) WHERE status <> 'PUBLIC';
CREATE INDEX gallery_by_author ON gallery_images (author_id, created_at, id);

-- Tags of public pictures only.
CREATE TABLE gallery_tags (
    tag         TEXT NOT NULL,
    image_id    INTEGER NOT NULL REFERENCES gallery_images (id),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (tag, image_id)
) STRICT;
CREATE INDEX gallery_tags_latest ON gallery_tags (tag, created_at, image_id);
CREATE INDEX gallery_tags_by_image ON gallery_tags (image_id);

-- How many public pictures a category ('' for all) and tag ('' for any) have.
CREATE TABLE gallery_counts (
    category  TEXT NOT NULL,
    tag       TEXT NOT NULL,
    images    INTEGER NOT NULL CHECK (images >= 0),
    PRIMARY KEY (category, tag)
) STRICT;

CREATE TABLE gallery_likes (
    image_id    INTEGER NOT NULL REFERENCES gallery_images (id),
    user_id     INTEGER NOT NULL REFERENCES users (id),
    created_at  INTEGER NOT NULL,
    PRIMARY KEY (image_id, user_id)
) STRICT;
CREATE INDEX gallery_likes_by_user ON gallery_likes (user_id);

CREATE TABLE prompt_templates (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    template_id     TEXT NOT NULL UNIQUE,
    title           TEXT NOT NULL,
    description     TEXT,
    prompt          TEXT NOT NULL,
    category        TEXT NOT NULL,
    thumbnail_url   TEXT,
    preview_images  TEXT NOT NULL,
    usage_count     INTEGER NOT NULL CHECK (usage_count >= 0),
    is_hot          INTEGER NOT NULL CHECK (is_hot IN (0, 1)),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX prompt_templates_by_usage ON prompt_templates (usage_count, id);

CREATE TABLE param_templates (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    template_id     TEXT NOT NULL UNIQUE,
    title           TEXT NOT NULL,
    description     TEXT,
    thumbnail_url   TEXT,
    preview_images  TEXT NOT NULL,
    mode            TEXT CHECK (mode IN ('draft', 'final')),
    resolution      TEXT CHECK (resolution IN ('1K', '2K', '4K')),
    aspect_ratio    TEXT,
    sample_count    INTEGER CHECK (sample_count BETWEEN 1 AND 10),
    created_at      INTEGER NOT NULL,
    updated_at      INTEGER NOT NULL
) STRICT;

-- What was taken over from the original service, so that taking it over again leaves it alone.
CREATE TABLE taken_over (
    origin       TEXT NOT NULL,           -- the table there
    original_id  TEXT NOT NULL,
    here         INTEGER NOT NULL,         -- the id here; of somebody's history its sum
    PRIMARY KEY (origin, original_id)
) STRICT;

-- Which seeds were planted once, so that one an admin deleted or edited is left alone.
CREATE TABLE planted_seeds (
    name        TEXT PRIMARY KEY,
    planted_at  INTEGER NOT NULL
) STRICT;

-- Characters and uploads ----------------------------------------------------------------------------------------
CREATE TABLE characters (
    id           INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid         TEXT NOT NULL UNIQUE,
    user_id      INTEGER NOT NULL REFERENCES users (id),
    name         TEXT NOT NULL,
    description  TEXT,
    photo_count  INTEGER NOT NULL CHECK (photo_count BETWEEN 0 AND 10),
    created_at   INTEGER NOT NULL,
    updated_at   INTEGER NOT NULL
) STRICT;
CREATE INDEX characters_by_user ON characters (user_id, created_at, id);

CREATE TABLE character_photos (
    id              INTEGER PRIMARY KEY AUTOINCREMENT,
    uuid            TEXT NOT NULL UNIQUE,
    character_id    INTEGER NOT NULL REFERENCES characters (id),
    thumbnail_url   TEXT NOT NULL,
    original_url    TEXT NOT NULL,
    thumbnail_key   TEXT,                 -- the object in our storage; NULL for a picture elsewhere
    original_key    TEXT,
    mime_type       TEXT NOT NULL,
    thumbnail_size  INTEGER NOT NULL CHECK (thumbnail_size >= 0),
    original_size   INTEGER NOT NULL CHECK (original_size >= 0),
    created_at      INTEGER NOT NULL
) STRICT;
CREATE INDEX character_photos_by_character ON character_photos (character_id, created_at, id);

CREATE TABLE uploads (
    id             INTEGER PRIMARY KEY AUTOINCREMENT,
    user_id        INTEGER NOT NULL REFERENCES users (id),
    blob_key       TEXT NOT NULL UNIQUE,
    original_name  TEXT NOT NULL,
    mime_type      TEXT NOT NULL,
    size           INTEGER NOT NULL CHECK (size >= 0),
    created_at     INTEGER NOT NULL
) STRICT;
CREATE INDEX uploads_by_user ON uploads (user_id, created_at, id);

-- Content checks of pictures that are to go public. The verdict on a picture is pushed later, under the trace id.
CREATE TABLE content_checks (
    trace_id    TEXT PRIMARY KEY,
    image_id    INTEGER REFERENCES gallery_images (id), -- NULL: the verdict came before it was noted what it is about
    part        TEXT NOT NULL CHECK (part IN ('TEXT', 'PICTURE')),
    verdict     TEXT CHECK (verdict IN ('PASS', 'REVIEW', 'RISKY', 'FAILED')),
    created_at  INTEGER NOT NULL,
    decided_at  INTEGER,
    CHECK ((verdict IS NULL) = (decided_at IS NULL))
) STRICT;
CREATE INDEX content_checks_by_image ON content_checks (image_id, created_at);
CREATE INDEX content_checks_by_age ON content_checks (created_at);

-- Figures -------------------------------------------------------------------------------------------------------
CREATE TABLE user_counters (
    user_id      INTEGER PRIMARY KEY REFERENCES users (id),
    orders       INTEGER NOT NULL CHECK (orders >= 0),
    favorites    INTEGER NOT NULL CHECK (favorites >= 0),
    image_favorites  INTEGER NOT NULL CHECK (image_favorites >= 0),
    generations  INTEGER NOT NULL CHECK (generations >= 0),
    succeeded    INTEGER NOT NULL CHECK (succeeded >= 0),
    failed       INTEGER NOT NULL CHECK (failed >= 0),
    images       INTEGER NOT NULL CHECK (images >= 0),
    CHECK (image_favorites <= favorites)
) STRICT;

CREATE TABLE user_daily (
    user_id  INTEGER NOT NULL REFERENCES users (id),
    day      TEXT NOT NULL,
    images   INTEGER NOT NULL,
    PRIMARY KEY (user_id, day)
) STRICT;

CREATE TABLE user_categories (
    user_id   INTEGER NOT NULL REFERENCES users (id),
    category  TEXT NOT NULL,
    images    INTEGER NOT NULL,
    PRIMARY KEY (user_id, category)
) STRICT;

-- Business figures by the hour, of the hours that are still counted in. Connections and nodes add to rows of their own,
-- so that none is hot; readers add them up.
CREATE TABLE usage_hours (
    at            INTEGER NOT NULL,
    shard         INTEGER NOT NULL,
    new_users     INTEGER NOT NULL,
    deleted_users INTEGER NOT NULL,
    active_hour   INTEGER NOT NULL,   -- users first seen in this hour
    active_day    INTEGER NOT NULL,   -- users first seen on this day
    generations   INTEGER NOT NULL,
    succeeded     INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    images        INTEGER NOT NULL,
    orders        INTEGER NOT NULL,
    paid_orders   INTEGER NOT NULL,
    revenue       INTEGER NOT NULL,
    refunded      INTEGER NOT NULL,
    favorites     INTEGER NOT NULL,
    earned        INTEGER NOT NULL,
    spent         INTEGER NOT NULL,
    PRIMARY KEY (at, shard)
) STRICT;

-- The same of the hours that are over, a row each.
CREATE TABLE usage_history (
    at            INTEGER PRIMARY KEY,
    new_users     INTEGER NOT NULL,
    deleted_users INTEGER NOT NULL,
    active_hour   INTEGER NOT NULL,   -- users first seen in this hour
    active_day    INTEGER NOT NULL,   -- users first seen on this day
    generations   INTEGER NOT NULL,
    succeeded     INTEGER NOT NULL,
    failed        INTEGER NOT NULL,
    images        INTEGER NOT NULL,
    orders        INTEGER NOT NULL,
    paid_orders   INTEGER NOT NULL,
    revenue       INTEGER NOT NULL,
    refunded      INTEGER NOT NULL,
    favorites     INTEGER NOT NULL,
    earned        INTEGER NOT NULL,
    spent         INTEGER NOT NULL
) STRICT;

-- What all hours of the history add up to.
CREATE TABLE usage_totals (
    id            INTEGER PRIMARY KEY CHECK (id = 1),
    new_users     INTEGER NOT NULL,
    deleted_users INTEGER NOT NULL,
    images        INTEGER NOT NULL,
    orders        INTEGER NOT NULL,
    favorites     INTEGER NOT NULL,
    earned        INTEGER NOT NULL,
    spent         INTEGER NOT NULL
) STRICT;

-- Who was seen in an hour ('H') or day ('D'), by the bucket's start.
CREATE TABLE activity (
    grain    TEXT NOT NULL CHECK (grain IN ('H', 'D')),
    at       INTEGER NOT NULL,
    user_id  INTEGER NOT NULL,
    PRIMARY KEY (grain, at, user_id)
) STRICT;

-- Administration ------------------------------------------------------------------------------------------------
CREATE TABLE admin_keys (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    name        TEXT NOT NULL,
    key_hash    TEXT NOT NULL UNIQUE,     -- SHA-256, hex; the key itself is shown once and kept nowhere
    created_at  INTEGER NOT NULL,
    ends_at     INTEGER                   -- opens nothing from then on: it was revoked, or another took its place
) STRICT;
-- The others of a name are on their way out.
CREATE UNIQUE INDEX admin_keys_one_per_name ON admin_keys (name) WHERE ends_at IS NULL;

CREATE TABLE audit_log (
    id          INTEGER PRIMARY KEY AUTOINCREMENT,
    at          INTEGER NOT NULL,
    actor       TEXT NOT NULL,
    action      TEXT NOT NULL,
    target      TEXT NOT NULL,
    before      TEXT,
    after       TEXT,
    reason      TEXT,
    request_id  TEXT
) STRICT;
CREATE INDEX audit_log_by_age ON audit_log (at, id);
CREATE INDEX audit_log_by_target ON audit_log (target, at, id);
CREATE INDEX audit_log_by_actor ON audit_log (actor, at, id);
CREATE INDEX audit_log_by_action ON audit_log (action, at, id);
