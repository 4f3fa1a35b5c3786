-- Damage: ledger rows in which offsets and outcomes do not add up. No row: all is well.
SELECT 'equation' AS kind, topic, topic_partition, first_offset, next_offset, batch_id, NULL::date AS day,
       CASE WHEN next_offset <= first_offset THEN 'the range of offsets is empty or runs backwards'
            WHEN least(stored, duplicates, dead_letters, skipped) < 0 THEN 'a count is negative'
            ELSE format('%s offsets, but %s stored + %s duplicates + %s dead letters + %s skipped = %s', next_offset - first_offset,
                        stored, duplicates, dead_letters, skipped, stored + duplicates + dead_letters + skipped) END AS damage
FROM tallymill.batches
WHERE next_offset <= first_offset OR least(stored, duplicates, dead_letters, skipped) < 0
   OR next_offset - first_offset <> stored + duplicates + dead_letters + skipped
ORDER BY topic, topic_partition, first_offset;
