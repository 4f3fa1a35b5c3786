-- The days of month $1 wait for a rebuild.
SELECT tallymill.mark_days(array_agg(d.day), array_fill('asked for by tallymill archive'::text, ARRAY[count(*)::integer]))
FROM (SELECT day FROM tallymill.days WHERE day >= $1::date AND day < ($1::date + interval '1 month')::date
      UNION SELECT e FROM tallymill.event_days($1::date, ($1::date + interval '1 month')::date - 1) AS e) AS d (day) HAVING count(*) > 0
