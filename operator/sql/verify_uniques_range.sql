-- One range of days of one subject, from the table and from the events. In psql:
--   SET tallymill.range_first = '2026-11-01'; SET tallymill.range_last = '2026-11-30'; SET tallymill.subject = '*'; SET tallymill.kind = 'session'; SET tallymill.population = 'all';
SELECT (SELECT coalesce(sum(u.keys), 0)::bigint FROM public.analytics_daily_uniques u
        WHERE u.subject = current_setting('tallymill.subject') AND u.kind = current_setting('tallymill.kind') AND u.population = current_setting('tallymill.population')
          AND u.date BETWEEN current_setting('tallymill.range_first')::date AND current_setting('tallymill.range_last')::date
          AND u.previous_date < current_setting('tallymill.range_first')::date) AS have,
       tallymill.count_keys(current_setting('tallymill.subject'), current_setting('tallymill.kind'), current_setting('tallymill.population'),
                            current_setting('tallymill.range_first')::date, current_setting('tallymill.range_last')::date) AS should;
