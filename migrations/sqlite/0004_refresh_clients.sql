-- Which client spent a refresh token, as a digest: a repeated use by the same client gets the same pair again.
ALTER TABLE refresh_tokens ADD COLUMN spent_by TEXT;
