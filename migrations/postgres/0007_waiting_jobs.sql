-- Tasks that somebody holds: few among many that wait.
CREATE INDEX outbox_leased ON outbox (lease) WHERE lease IS NOT NULL;

-- The two ends of a user's queue for the image API: what waits for a place, oldest first, and what has one.
CREATE INDEX generations_waiting_of ON generations (user_id, created_at, id)
    WHERE completed_at IS NULL AND submitted_at IS NULL;
CREATE INDEX generations_submitted_of ON generations (user_id)
    WHERE completed_at IS NULL AND submitted_at IS NOT NULL;
