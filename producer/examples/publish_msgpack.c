/* publish_msgpack.c - event_data, and a whole event, that msgpack-c has packed. Build: cc publish_msgpack.c $(pkg-config --cflags
 * --libs tallymill msgpack) (the package is called msgpack-c in newer releases) */
#include <msgpack.h>
#include <stdio.h>
#include <string.h>
#include <tallymill/producer.h>
#include <time.h>

static void text(msgpack_packer *packer, const char *text)
{
    msgpack_pack_str_with_body(packer, text, strlen(text));
}

/* Attributes that the application has as msgpack anyhow. */
static void pack_attributes(msgpack_packer *packer)
{
    msgpack_pack_map(packer, 2);
    text(packer, "action");
    text(packer, "copy");
    text(packer, "pages");
    msgpack_pack_int(packer, 3);
}

/* A whole event, in whatever order: schemas/wire.md. The id is the application's own (here from its queue); the same id twice is
 * one row. */
static void pack_event(msgpack_packer *packer, const unsigned char id[TALLY_ID_BYTES])
{
    msgpack_pack_map(packer, 5);
    text(packer, "created_at"); /* microseconds since 1970 */
    msgpack_pack_int64(packer, (int64_t)time(NULL) * 1000000);
    text(packer, "event_name");
    text(packer, "doc_export");
    text(packer, "session_id");
    text(packer, "s-43");
    text(packer, "event_data");
    pack_attributes(packer);
    text(packer, "id");
    msgpack_pack_bin(packer, TALLY_ID_BYTES);
    msgpack_pack_bin_body(packer, id, TALLY_ID_BYTES);
}

int main(int argc, char **argv)
{
    const struct tally_setting settings[] = {{"kafka.bootstrap.servers", argc > 1 ? argv[1] : "127.0.0.1:9092"},
                                             {"topics.events", argc > 2 ? argv[2] : "analytics-events"},
                                             {NULL, NULL}};
    const unsigned char id[TALLY_ID_BYTES] = {1, 0x9a, 0x6b, 0x2c, 0x5d, 0x10, 0x74, 0x21, 0x8f, 3, 4, 5, 6, 7, 8, 9};
    struct tally_error err = TALLY_ERROR_INIT;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    struct tally_event *event = tally_event_new();
    if (producer == NULL || event == NULL) {
        fprintf(stderr, "%s\n", producer == NULL ? err.text : "no memory");
        return 1;
    }
    msgpack_sbuffer buffer;
    msgpack_packer packer;
    msgpack_sbuffer_init(&buffer);
    msgpack_packer_init(&packer, &buffer, msgpack_sbuffer_write);

    pack_attributes(&packer);
    tally_event_begin(event, "doc_export");
    tally_event_session(event, "s-42");
    tally_event_data(event, buffer.data, buffer.size);
    if (tally_publish(producer, event, &err) != TALLY_OK)
        fprintf(stderr, "%s\n", err.text);

    msgpack_sbuffer_clear(&buffer);
    pack_event(&packer, id);
    if (tally_publish_bytes(producer, NULL, 0, buffer.data, buffer.size, 0, &err) != TALLY_OK)
        fprintf(stderr, "%s\n", err.text);

    bool is_delivered = tally_close(producer, 30000, NULL);
    msgpack_sbuffer_destroy(&buffer);
    tally_event_free(event);
    return is_delivered ? 0 : 1;
}
