-- Is there work for a cycle? $1: how long after its end a day is closed, as an interval in seconds (double precision).
-- has_batches, has_days: a day of an attached month waits for a rebuild or is due for closing; months: whose batch index will be read.
SELECT EXISTS (SELECT FROM tallymill.unfolded)
         OR EXISTS (SELECT FROM tallymill.places p JOIN tallymill.gaps g USING (topic, topic_partition) WHERE g.first_offset >= p.next_offset),
       EXISTS (SELECT FROM tallymill.days d
               JOIN tallymill.months m ON m.month = date_trunc('month', d.day::timestamp)::date AND m.state IN ('open', 'restored')
               WHERE d.dirty_since IS NOT NULL
                  OR (d.closed_at IS NULL
                      AND d.day < ((clock_timestamp() - $1::double precision * interval '1 second') AT TIME ZONE 'UTC')::date)),
       ARRAY(SELECT DISTINCT date_trunc('month', d.day::timestamp)::date - date '1970-01-01'
             FROM tallymill.unfolded u CROSS JOIN LATERAL unnest(u.days) AS d (day))
