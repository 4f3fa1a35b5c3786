/* publish_few.c - an application outside the source tree: C and C++, nothing but the installed header and pkg-config.
 *
 *     publish_few BROKERS TOPIC COUNT [SPOOL_DIR]      prints the id of each event that was accepted
 *
 * With BESIDE the application has a librdkafka of its own, the distribution's, whose header may not be there.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <tallymill/producer.h>

#ifdef BESIDE
extern const char *rd_kafka_version_str(void);
extern void *rd_kafka_conf_new(void);
extern void rd_kafka_conf_destroy(void *conf);
#endif

static void on_log(void *context, int level, const char *text)
{
    (void)context;
    fprintf(stderr, "%d %s\n", level, text);
}

int main(int argc, char **argv)
{
    struct tally_setting settings[4];
    struct tally_hooks hooks = TALLY_HOOKS_INIT;
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_counts counts = TALLY_COUNTS_INIT;
    int i;
    hooks.log = on_log;
    if (argc < 4)
        return 2;
#ifdef BESIDE
    rd_kafka_conf_destroy(rd_kafka_conf_new());
    fprintf(stderr, "librdkafka of the application: %s\n", rd_kafka_version_str());
#endif
    settings[0].key = "kafka.bootstrap.servers", settings[0].value = argv[1];
    settings[1].key = "topics.events", settings[1].value = argv[2];
    settings[2].key = argc > 4 ? "spool.dir" : NULL, settings[2].value = argc > 4 ? argv[4] : NULL;
    settings[3].key = NULL, settings[3].value = NULL;
    struct tally_producer *producer = tally_open(settings, &hooks, &err);
    struct tally_event *event = tally_event_new();
    if (producer == NULL || event == NULL) {
        fprintf(stderr, "%s\n", err.text);
        return 1;
    }
    for (i = 0; i < atoi(argv[3]); i++) {
        char id[TALLY_ID_TEXT_BYTES];
        tally_event_begin(event, "doc_export");
        tally_event_session(event, i % 2 == 0 ? "an even one" : "an odd one");
        tally_event_user(event, 1000 + i);
        tally_event_text(event, "action", "copy");
        tally_event_map(event, "nested");
        tally_event_number(event, "score", i / 7.0);
        tally_event_array(event, "list");
        tally_event_int(event, NULL, -i);
        tally_event_null(event, NULL);
        tally_event_end(event);
        tally_event_end(event);
        if (tally_publish(producer, event, &err) != TALLY_OK) {
            fprintf(stderr, "%s\n", err.text);
            return 1;
        }
        puts(tally_event_id_text(event, id));
    }
    bool is_delivered = tally_close(producer, 30000, &counts);
    fprintf(stderr, "%" PRIu64 " accepted, %" PRIu64 " acknowledged\n", counts.accepted, counts.acknowledged);
    tally_event_free(event);
    return is_delivered ? 0 : 1;
}
