"""`tallymill adopt --plan`: what it names before anything is copied, and that nothing which somebody else has set or made decides what it sees."""

from .harness.adopting import LEFT, adopt, rows_of

def test_names_of_indexes_that_are_taken_are_named_before_anything_is_copied(old):
    """As a table that was renamed keeps them: the swap needs these names."""
    site, application = old(500)
    with application.connect() as cursor:
        cursor.execute("ALTER TABLE analytics_events RENAME TO analytics_events_v1; CREATE TABLE analytics_events (LIKE analytics_events_v1 INCLUDING ALL); INSERT INTO analytics_events SELECT * FROM analytics_events_v1;"
                       " CREATE TABLE idx_analytics_events_batch (n int); CREATE TABLE stats (n int, CONSTRAINT analytics_daily_stats_pkey PRIMARY KEY (n))")
    for words in (("--plan",), ()):
        refused = adopt(site, *words, code=2)
        for statement in ("ALTER INDEX public.analytics_events_pkey RENAME TO", "ALTER INDEX public.idx_analytics_events_name_created RENAME TO", "ALTER TABLE public.idx_analytics_events_batch RENAME TO",
                          "ALTER INDEX public.analytics_daily_stats_pkey RENAME TO"):
            assert statement in refused.out + refused.err, (statement, refused)
    assert site.database.value(LEFT) == 0
    said = [line.split(": ", 1)[1] for line in refused.err.splitlines() if "has a name" in line]
    site.database.run("; ".join(said))
    adopt(site)
    assert rows_of(site, "analytics_events_v1")[0][0] == rows_of(site, "analytics_events")[0][0] == 500
