-- What came back of a charge that was captured, because fewer samples were delivered than were paid for. A charge that is
-- RETURNED came back whole.
ALTER TABLE generations ADD COLUMN quota_refunded INTEGER NOT NULL DEFAULT 0
    CHECK (quota_refunded >= 0 AND quota_refunded <= quota_charged AND (quota_refunded = 0 OR charge = 'CAPTURED'));
ALTER TABLE generations ADD COLUMN points_refunded INTEGER NOT NULL DEFAULT 0
    CHECK (points_refunded >= 0 AND points_refunded <= points_charged AND (points_refunded = 0 OR charge = 'CAPTURED'));
