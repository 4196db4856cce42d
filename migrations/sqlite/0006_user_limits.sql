-- Bytes of the uploads and character photos of a user that are in our storage, for the limit of each user; and the
-- open orders of one user, for theirs.
ALTER TABLE user_counters ADD COLUMN stored_bytes INTEGER NOT NULL DEFAULT 0 CHECK (stored_bytes >= 0);
UPDATE user_counters SET stored_bytes =
    CAST(coalesce((SELECT sum(u.size) FROM uploads u WHERE u.user_id = user_counters.user_id), 0)
    + coalesce((SELECT sum(CASE WHEN p.thumbnail_key IS NULL THEN 0 ELSE p.thumbnail_size END
        + CASE WHEN p.original_key IS NULL THEN 0 ELSE p.original_size END)
        FROM character_photos p JOIN characters c ON c.id = p.character_id
        WHERE c.user_id = user_counters.user_id), 0) AS INTEGER);
CREATE INDEX orders_open_by_user ON orders (user_id) WHERE status = 'PENDING';
