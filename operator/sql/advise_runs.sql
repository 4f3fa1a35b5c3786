-- The last runs that were kept, one an hour, without that of this hour: runs of one hour count as one.
SELECT query_p95_us FROM tallymill.advice WHERE ran_at < date_trunc('hour', now(), 'UTC') ORDER BY ran_at DESC LIMIT 2;
