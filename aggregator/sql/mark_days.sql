-- Days wait for a rebuild: $1 date[], $2 text[] reasons. Whoever marked one before keeps its time and reason.
SELECT tallymill.mark_days($1::date[], $2::text[])
