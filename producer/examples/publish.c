/* publish.c - one event from an application. Build: cc publish.c $(pkg-config --cflags --libs tallymill) */
#include <stdio.h>
#include <tallymill/producer.h>

int main(int argc, char **argv)
{
    const struct tally_setting settings[] = {{"kafka.bootstrap.servers", argc > 1 ? argv[1] : "127.0.0.1:9092"}, {NULL, NULL}};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    struct tally_event *event = tally_event_new();
    if (producer == NULL || event == NULL) {
        fprintf(stderr, "%s\n", producer == NULL ? err.text : "no memory");
        return 1;
    }
    tally_event_begin(event, "doc_export");
    tally_event_session(event, "b7e23ec2-9af4-4d8a-8a1c-3f2e1d0c9b8a");
    tally_event_user(event, 1001);
    tally_event_text(event, "action", "copy");
    tally_event_text(event, "doc_type", "README");
    if (tally_publish(producer, event, &err) != TALLY_OK)
        fprintf(stderr, "%s\n", err.text);

    struct tally_counts counts = TALLY_COUNTS_INIT;
    bool is_delivered = tally_close(producer, 10000, &counts);
    printf("%llu acknowledged, %llu failed\n", (unsigned long long)counts.acknowledged, (unsigned long long)counts.failed);
    tally_event_free(event);
    return is_delivered ? 0 : 1;
}
