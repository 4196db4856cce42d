-- Rows that a readiness check writes, to find out whether the database stores anything. Only the newest is kept.
CREATE TABLE store_probes (
    id      BIGINT GENERATED ALWAYS AS IDENTITY PRIMARY KEY,
    filler  TEXT NOT NULL
);

-- The few refunds that are under way, for a gauge.
CREATE INDEX refunds_processing ON refunds (id) WHERE status = 'PROCESSING';
