-- The last runs that were kept, without those of this hour: runs of one hour count as one.
SELECT query_p95_us FROM tallymill.advice WHERE ran_at < now() - interval '1 hour' ORDER BY ran_at DESC LIMIT 2;
