-- The subjects of uniques that a range may be compared of.
SELECT s.subject FROM tallymill.unique_subjects s WHERE s.retired_at IS NULL ORDER BY s.bit;
