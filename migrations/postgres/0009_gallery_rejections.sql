-- Why an admin rejected a picture. While it is set, only a person lets the result go public again, even under a new row.
-- A rejected result is no longer barred: its author may publish it again, and it is checked anew.
ALTER TABLE gallery_images ADD COLUMN reject_reason TEXT;
CREATE INDEX gallery_rejected_results ON gallery_images (job_id, result_index) WHERE reject_reason IS NOT NULL;
-- Earlier reasons were written for the audit log and stay there.
UPDATE gallery_images SET reject_reason = '未通过人工审核'
    WHERE status = 'REJECTED' AND EXISTS (SELECT 1 FROM audit_log a
        WHERE a.action = 'gallery.reject' AND a.target = 'image:' || CAST(gallery_images.id AS TEXT));
UPDATE gallery_images SET barred = FALSE WHERE status = 'REJECTED';
