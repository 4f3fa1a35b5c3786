/* settings_table.c - every setting of every program: key, type, default, range, one line of help.
 *
 * One table for all programs, because they read one file: a key that is meant for another program must not be an error.
 */
#include "common/settings_table.h"

#include "common/clock.h"

#define KIB INT64_C(1024)
#define MIB (1024 * KIB)
#define GIB (1024 * MIB)
#define ANY (FOR_CONSUMER | FOR_AGGREGATOR | FOR_PRODUCE | FOR_OPERATOR)

/* clang-format off */
const struct setting settings_table[] = {
    {"topics.events", SETTING_TEXT, "analytics-events", 1, 249, NULL, ANY, "the Kafka topic that carries the events"},
    {"topics.partitions", SETTING_COUNT, "8", 1, 10000, NULL, FOR_OPERATOR, "topic partitions when migrate makes the topic: the most workers that can share it"},
    {"topics.replication", SETTING_COUNT, "3", 1, 3, NULL, FOR_OPERATOR, "copies of each topic partition when migrate makes the topic; at most the number of brokers"},
    {"postgres.dsn", SETTING_TEXT, "", 0, 0, NULL, FOR_CONSUMER | FOR_AGGREGATOR | FOR_OPERATOR, "libpq connection string; empty: libpq's environment (PGHOST, PGSERVICE, ...)"},
    {"postgres.disk_size", SETTING_BYTES, "0", 0, 1024 * 1024 * GIB, NULL, FOR_AGGREGATOR | FOR_OPERATOR, "the disk that Postgres's data and WAL lie on, where it is not on this host; 0: not known"},
    {"consumer.group", SETTING_TEXT, "tallymill", 1, 0, NULL, FOR_CONSUMER | FOR_OPERATOR, "the consumer group that all workers of a topic share"},
    {"consumer.instance", SETTING_TEXT, "", 0, 0, NULL, FOR_CONSUMER, "static member name, unique in the group; empty: a dynamic member"},
    {"batch.max_rows", SETTING_COUNT, "10000", 1, 100000, NULL, FOR_CONSUMER | IS_LIVE, "the most events in one transaction; fewer where they fill its share of memory.max"},
    {"batch.min_age", SETTING_DURATION, "2 ms", 0, 60 * CLOCK_SECOND_US, NULL, FOR_CONSUMER | IS_LIVE, "a batch that is not full waits this long after the last commit"},
    {"memory.max", SETTING_BYTES, "64 MiB", 32 * MIB, 64 * GIB, NULL, FOR_CONSUMER | FOR_AGGREGATOR, "what a process may hold in memory; prefetch, batches and sets derive from it"},
    {"window.oldest", SETTING_AGE, "13 months", 0, 0, NULL, FOR_CONSUMER | FOR_PRODUCE | FOR_OPERATOR | IS_LIVE, "events before this are dead letters: an age or a date"},
    {"window.ahead", SETTING_DURATION, "1 day", 0, 3650 * CLOCK_DAY_US, NULL, FOR_CONSUMER | FOR_PRODUCE | IS_LIVE, "events dated later than this from now are dead letters"},
    {"window.policy", SETTING_CHOICE, "reject", 0, 0, "reject|clamp", FOR_CONSUMER | FOR_PRODUCE | IS_LIVE, "events outside the window: dead letters, or stored at Kafka's time with the original kept, each id once in the window"},
    {"wire.unknown_key", SETTING_CHOICE, "keep", 0, 0, "keep|reject", FOR_CONSUMER | IS_LIVE, "unknown top-level keys: kept under event_data._extra, or dead letters"},
    {"wire.trace", SETTING_CHOICE, "drop", 0, 0, "drop|keep", FOR_CONSUMER | IS_LIVE, "the message header traceparent (W3C): not read, or kept as event_data._trace"},
    {"catalogue.file", SETTING_TEXT, "", 0, 0, NULL, FOR_CONSUMER | FOR_PRODUCE | FOR_OPERATOR | IS_LIVE, "the known events (JSON); empty: the built-in copy of share/tallymill/catalogue.json"},
    {"catalogue.unknown", SETTING_CHOICE, "accept", 0, 0, "accept|reject", FOR_CONSUMER | FOR_PRODUCE | IS_LIVE, "events that the catalogue does not know: stored and counted, or dead letters"},
    {"catalogue.attributes", SETTING_CHOICE, "count", 0, 0, "count|reject", FOR_CONSUMER | IS_LIVE, "attributes against the catalogue: stored and counted, or dead letters"},
    {"spool.dir", SETTING_TEXT, "", 0, 4000, NULL, FOR_PRODUCE, "directory in which events outlive Kafka's absence and a kill of the program, for one program at a time; empty: none"},
    {"spool.size", SETTING_BYTES, "1 GiB", MIB, 1024 * GIB, NULL, FOR_PRODUCE, "all files of the spool together"},
    {"spool.sync", SETTING_CHOICE, "interval", 0, 0, "each|interval|never", FOR_PRODUCE, "when a spooled event is on the disk: before the next is read, within 200 ms, when the kernel likes"},
    {"spool.wait.ms", SETTING_COUNT, "0", 0, 3600000, NULL, FOR_PRODUCE, "how long to wait for another process that still uses spool.dir"},
    {"spool.full", SETTING_CHOICE, "refuse", 0, 0, "refuse|drop_oldest", FOR_PRODUCE, "a full spool: reading waits for room, or the oldest events are given up"},
    {"dead_letters.max_share", SETTING_COUNT, "10", 1, 100, NULL, FOR_CONSUMER | IS_LIVE, "percent of events: more dead letters than this (and 100) in a window are a flood"},
    {"dead_letters.window", SETTING_DURATION, "1 min", CLOCK_SECOND_US, CLOCK_DAY_US, NULL, FOR_CONSUMER | IS_LIVE, "the time over which the share of dead letters is taken"},
    {"dead_letters.policy", SETTING_CHOICE, "continue", 0, 0, "continue|slow|stop", FOR_CONSUMER | IS_LIVE, "in a flood: go on and say so, store about 100 dead letters a second, or stop with exit code 3"},
    {"dead_letters.keep", SETTING_DURATION, "0 days", 0, 3650 * CLOCK_DAY_US, NULL, FOR_AGGREGATOR | IS_LIVE, "how long a dead letter keeps its bytes, by which it can be sent again; its place and reason stay; 0 days: for ever"},
    {"aggregator.interval", SETTING_DURATION, "1 s", 10000, 60 * CLOCK_SECOND_US, NULL, FOR_AGGREGATOR | IS_LIVE, "pause between two looks at the ledger"},
    {"aggregator.close_after", SETTING_DURATION, "6 h", 0, 30 * CLOCK_DAY_US, NULL, FOR_AGGREGATOR | IS_LIVE, "a UTC day is closed this long after its end"},
    {"aggregator.months_ahead", SETTING_COUNT, "3", 1, 24, NULL, FOR_AGGREGATOR | IS_LIVE, "months made before they begin"},
    {"aggregator.merge_every", SETTING_DURATION, "1 h", CLOCK_SECOND_US, CLOCK_DAY_US, NULL, FOR_AGGREGATOR | IS_LIVE, "how often what is folded and a quarter of an hour old is merged in the ledger, at the latest"},
    {"rollups.dir", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR, "directory of the rollup files that migrate defines; empty: share/tallymill/rollups beside the program"},
    {"rollups.share", SETTING_COUNT, "0", 0, 100, NULL, FOR_AGGREGATOR | IS_LIVE, "percent of the time that computing rollups may take; 0: a fifth while the server has no core to spare, all of it otherwise"},
    {"rollups.timeout", SETTING_DURATION, "5 min", CLOCK_SECOND_US, CLOCK_DAY_US, NULL, FOR_AGGREGATOR | IS_LIVE, "a rollup's query that takes longer is ended and named; the others go on"},
    {"uniques.subjects", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR, "file of the subjects that uniques are counted of, which migrate defines; empty: the built-in copy of share/tallymill/uniques/subjects.sql"},
    {"uniques.keep", SETTING_DURATION, "800 days", CLOCK_DAY_US, 3650 * CLOCK_DAY_US, NULL, FOR_AGGREGATOR | IS_LIVE, "how long keys of uniques are kept: ranges that begin before are counted at most"},
    {"views.refresh", SETTING_CHOICE, "off", 0, 0, "off|hourly|daily", FOR_AGGREGATOR | IS_LIVE, "when the leader refreshes the materialized views analytics_view_*; off: tallymill refresh does"},
    {"archive.target", SETTING_TEXT, "", 0, 500, NULL, FOR_OPERATOR, "where archived months are kept: a directory (its absolute path), or s3://BUCKET/PREFIX; none: they are dropped, and nothing is kept; empty: nothing is archived"},
    {"archive.after", SETTING_AGE, "12 months", 0, 0, NULL, FOR_OPERATOR, "a month is cold, and due for the archive, once it ended so long ago and lies before window.oldest"},
    {"archive.restored_keep", SETTING_DURATION, "30 days", 0, 3650 * CLOCK_DAY_US, NULL, FOR_OPERATOR, "a month that was restored is not due again before"},
    {"archive.compression", SETTING_CHOICE, "zstd", 0, 0, "zstd|gzip", FOR_OPERATOR, "how the parts of an archived month are compressed"},
    {"archive.part_size", SETTING_BYTES, "64 MiB", 64 * KIB, 64 * MIB, NULL, FOR_OPERATOR, "about how large a part is, which goes to the store from memory; a million rows at most"},
    {"archive.detach_deadline", SETTING_DURATION, "10 min", CLOCK_SECOND_US, CLOCK_DAY_US, NULL, FOR_OPERATOR, "how long a month on its way out waits for those who read the events, and then for those who read its table"},
    {"s3.endpoint", SETTING_TEXT, "", 0, 300, NULL, FOR_OPERATOR, "where the store of archive.target = s3://BUCKET/PREFIX is asked: https://HOST or http://HOST:PORT; empty: Amazon's of s3.region"},
    {"s3.region", SETTING_TEXT, "us-east-1", 1, 60, NULL, FOR_OPERATOR, "the region that requests are signed for"},
    {"s3.access_key", SETTING_TEXT, "", 0, 200, NULL, FOR_OPERATOR, "the login at the store"},
    {"s3.secret_key", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR | IS_SECRET, "its secret, which belongs into a file: @FILE"},
    {"s3.session_token", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR | IS_SECRET, "the token of a login for a while, @FILE; empty: none"},
    {"s3.path_style", SETTING_CHOICE, "true", 0, 0, "true|false", FOR_OPERATOR, "the bucket stands in the path of the address (true), or before its host's name (false)"},
    {"metrics.listen", SETTING_TEXT, "", 0, 0, NULL, FOR_CONSUMER | FOR_AGGREGATOR, "HOST:PORT (or HOST:PORT+N, their sum) that serves /metrics and /health, one port a process; empty: none"},
    {"metrics.stalled_after", SETTING_DURATION, "1 min", CLOCK_SECOND_US, CLOCK_DAY_US, NULL, FOR_CONSUMER | FOR_AGGREGATOR | IS_LIVE, "/health says so when work has waited this long and none was done"},
    {"dashboard.listen", SETTING_TEXT, "127.0.0.1:9460", 1, 0, NULL, FOR_OPERATOR, "HOST:PORT where tallymill dashboard serves its page; beyond the loopback it asks for dashboard.token"},
    {"dashboard.token", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR | IS_SECRET, "what a browser has to show once, 32 characters or more; empty: whoever reaches the port may look"},
    {"dashboard.hosts", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR, "names by which browsers may ask for the page, between blanks, beside localhost and addresses"},
    {"dashboard.panels", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR, "directory of the panel files; empty: share/tallymill/panels beside the program"},
    {"dashboard.workers", SETTING_TEXT, "", 0, 0, NULL, FOR_OPERATOR, "HOST:PORT of the workers' metrics (their metrics.listen), between blanks: the page shows how long commits take, and who does not answer"},
    {"dashboard.export_rows", SETTING_COUNT, "1000000", 0, 1000000000, NULL, FOR_OPERATOR, "the most raw events in one CSV; 0: none, so that no user and session ids leave by the page"},
    {"dashboard.cookie_secure", SETTING_CHOICE, "on", 0, 0, "on|off", FOR_OPERATOR, "whether the page's cookie is only sent over TLS (a proxy in front); off where the page is asked for by plain HTTP"},
    {"log.level", SETTING_CHOICE, "info", 0, 0, "debug|info|warn|error", ANY | IS_LIVE, "the least important line to log"},
    {NULL, SETTING_TEXT, NULL, 0, 0, NULL, 0, NULL},
};
/* clang-format on */
