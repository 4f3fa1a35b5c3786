/* producer_reader.c - reader.c, csv.c, json.c and msgpack_value.c: a record and the object it becomes, or the reason. */
#include <criterion/criterion.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "common/base64.h"
#include "common/error.h"
#include "producer/import/csv.h"
#include "producer/import/msgpack_value.h"
#include "producer/import/reader.h"
#include "producer/library/json.h"
#include "producer/library/value.h"

static struct reader *reader;

static char *write_text(const struct value *value)
{
    struct error err;
    char *text = NULL;
    size_t length;
    FILE *file = open_memstream(&text, &length);
    cr_assert(json_write(value, file, &err), "%s", err.text);
    fclose(file);
    return text;
}

static void open_csv(bool is_typed)
{
    struct reader_kind csv = {.format = RECORD_CSV, .delimiter = ',', .is_typed = is_typed};
    reader = reader_new(&csv);
}

static void close_reader(void)
{
    reader_free(reader);
}

TestSuite(reader, .fini = close_reader);

static enum reader_answer read_record(const char *record, char **text, struct error *err)
{
    struct value *object;
    enum reader_answer answer = reader_read(reader, record, strlen(record), &object, err);
    *text = object == NULL ? NULL : write_text(object);
    return answer;
}

static void becomes(const char *record, const char *expected)
{
    char *text;
    struct error err;
    cr_assert_eq(read_record(record, &text, &err), READER_OBJECT, "%s", record);
    cr_assert_str_eq(text, expected);
    free(text);
}

static void is_refused(const char *record, const char *reason)
{
    char *text;
    struct error err;
    cr_assert_eq(read_record(record, &text, &err), READER_BAD, "%s", record);
    cr_assert_not_null(strstr(err.text, reason), "'%s' is not in '%s'", reason, err.text);
}

static void is_nothing(const char *record)
{
    char *text;
    struct error err;
    cr_assert_eq(read_record(record, &text, &err), READER_NOTHING, "%s", record);
}

Test(reader, csv_is_read_by_its_header)
{
    open_csv(false);
    is_nothing("");
    is_nothing("a,\"b \"\"c\"\"\",d");
    becomes("1,2,3", "{\"a\":\"1\",\"b \\\"c\\\"\":\"2\",\"d\":\"3\"}");
    becomes("\"x\ny\",\"q\"\"q\", s ", "{\"a\":\"x\\ny\",\"b \\\"c\\\"\":\"q\\\"q\",\"d\":\" s \"}");
    becomes(",\"\",", "{\"b \\\"c\\\"\":\"\"}");
    becomes("\"1,2\",\"\"\"\",3", "{\"a\":\"1,2\",\"b \\\"c\\\"\":\"\\\"\",\"d\":\"3\"}");
    is_nothing("  ");
    is_refused("1,2", "has 2 fields, the header 3");
    is_refused("1,2,3,4", "has 4 fields, the header 3");
    is_refused("1,x\"y,3", "a quote stands inside a field");
    is_refused("1,\"x\"y,3", "text stands behind a closing quote");
    is_refused("1,\"x,3", "never closed");
    is_refused("1,\xc3\x28,3", "is not UTF-8");
    reader_begin(reader, ',');
    is_nothing("e");
    becomes("5", "{\"e\":\"5\"}");
}

Test(reader, csv_fields_are_typed_only_when_asked_and_only_when_exactly_so)
{
    open_csv(true);
    is_nothing("a,b,c,d,e,f");
    becomes("1,-2.5,true,007,\"3\",1e999", "{\"a\":1,\"b\":-2.5,\"c\":true,\"d\":\"007\",\"e\":\"3\",\"f\":1e999}");
    becomes("+1,1x,truex,99999999999999999999,null,false", "{\"a\":\"+1\",\"b\":\"1x\",\"c\":\"truex\",\"d\":99999999999999999999,"
                                                           "\"e\":\"null\",\"f\":false}");
    becomes("True,False,18446744073709551615,-9223372036854775808,\"18446744073709551616\",-",
            "{\"a\":true,\"b\":false,\"c\":18446744073709551615,\"d\":-9223372036854775808,\"e\":\"18446744073709551616\",\"f\":\"-"
            "\"}");
}

Test(reader, a_header_that_names_nothing_or_twice_ends_the_file)
{
    static const char *const headers[] = {"a,b,a", "a,\"b", "a,\"b\"c", "a,\xff"};
    for (size_t i = 0; i < sizeof headers / sizeof *headers; i++) {
        open_csv(false);
        char *text;
        struct error err;
        cr_assert_eq(read_record(headers[i], &text, &err), READER_FAILED, "%s", headers[i]);
        close_reader();
    }
    reader = NULL;
}

Test(reader, a_column_without_a_name_is_dropped)
{
    open_csv(false);
    is_nothing(",event_name,,user_id,");
    becomes("0,login,x,1001.0,", "{\"event_name\":\"login\",\"user_id\":\"1001.0\"}");
    is_refused("0,login,x,1001.0", "has 4 fields, the header 5");
    const struct csv *header = reader_header(reader);
    cr_assert_eq(csv_columns(header), 5);
    cr_assert_null(csv_name(header, 0));
    cr_assert_str_eq(csv_name(header, 3), "user_id");
}

Test(reader, a_nul_in_csv_is_refused)
{
    open_csv(false);
    is_nothing("a,b");
    struct value *object;
    struct error err;
    cr_assert_eq(reader_read(reader, "1\0,2", 4, &object, &err), READER_BAD);
    cr_assert_eq(reader_read(reader, "\"1\0\",2", 6, &object, &err), READER_BAD);
}

Test(reader, ndjson_takes_objects_only)
{
    reader = reader_new(&(struct reader_kind){.format = RECORD_NDJSON});
    becomes("{\"a\": [1, 2.5, null]}", "{\"a\":[1,2.5,null]}");
    is_nothing(" \t ");
    is_refused("[1]", "no JSON object");
    is_refused("{\"a\": 1, \"a\": 2}", "the key 'a' is a duplicate");
    is_refused("{\"a\": 1} x", "unexpected content after document");
    is_refused("{\"a\": \"\\u0000\"}", "NUL");
    is_refused("{\"a\": \"secret", "no JSON");
    char *text;
    struct error err;
    read_record("{\"a\": secret}", &text, &err);
    cr_assert_null(strstr(err.text, "secret"), "%s", err.text);
}

#define MSGPACK(bytes, expected)       msgpack_becomes(bytes, sizeof(bytes) - 1, expected)
#define MSGPACK_REFUSED(bytes, reason) msgpack_is_refused(bytes, sizeof(bytes) - 1, reason)

static void msgpack_becomes(const char *bytes, size_t length, const char *expected)
{
    struct error err;
    struct value_pool *pool = value_pool_new();
    struct value *value = msgpack_value(pool, bytes, length, &err);
    cr_assert_not_null(value, "%s: %s", expected, err.text);
    char *text = write_text(value);
    cr_assert_str_eq(text, expected);
    free(text);
    value_pool_free(pool);
}

static void msgpack_is_refused(const char *bytes, size_t length, const char *reason)
{
    struct error err;
    struct value_pool *pool = value_pool_new();
    cr_assert_null(msgpack_value(pool, bytes, length, &err), "%s", reason);
    cr_assert_not_null(strstr(err.text, reason), "'%s' is not in '%s'", reason, err.text);
    value_pool_free(pool);
}

Test(reader, msgpack_becomes_what_the_workers_would_store)
{
    MSGPACK("\x83\xa1z\x01\xa1y\xff\xa1x\xc0", "{\"z\":1,\"y\":-1,\"x\":null}");
    MSGPACK("\x96\xc2\xc3\xcc\xff\xcd\1\0\xce\1\0\0\0\xcf\x7f\xff\xff\xff\xff\xff\xff\xff",
            "[false,true,255,256,16777216,9223372036854775807]");
    MSGPACK("\x94\xd0\x80\xd1\x80\0\xd2\x80\0\0\0\xd3\x80\0\0\0\0\0\0\0", "[-128,-32768,-2147483648,-9223372036854775808]");
    MSGPACK("\x92\xca\x3d\xcc\xcc\xcd\xcb\x3f\xb9\x99\x99\x99\x99\x99\x9a", "[0.1,0.1]");
    MSGPACK("\xc4\x03\0\xff\x10", "\"AP8Q\"");
    MSGPACK("\xd6\xff\x69\x68\xb4\xe8", "\"2026-01-15T09:35:36Z\"");
    MSGPACK("\xd7\xff\x3b\x9a\xca\0\x69\x68\xb4\xe8", "\"2026-01-15T09:35:36.25Z\"");
    MSGPACK("\xc7\x0c\xff\0\0\0\x01\xff\xff\xff\xff\xff\xff\xff\xff", "\"1969-12-31T23:59:59Z\"");
    MSGPACK("\xdd\0\0\0\1\xdf\0\0\0\1\xdb\0\0\0\1k\xda\0\1v", "[{\"k\":\"v\"}]");
    MSGPACK("\x92\xcf\x80\0\0\0\0\0\0\0\xcf\xff\xff\xff\xff\xff\xff\xff\xff", "[9223372036854775808,18446744073709551615]");
    MSGPACK_REFUSED("\xcb\x7f\xf0\0\0\0\0\0\0", "not finite");
    MSGPACK_REFUSED("\xca\x7f\xc0\0\0", "not finite");
    MSGPACK_REFUSED("\xd4\x05x", "no timestamp");
    MSGPACK_REFUSED("\xd7\xff\xff\xff\xff\xff\0\0\0\0", "out of range");
    MSGPACK("\xc7\x0c\xff\0\0\0\0\0\0\0\x3a\xff\xf4\x41\x7f", "\"9999-12-31T23:59:59Z\"");
    MSGPACK_REFUSED("\xc7\x0c\xff\0\0\0\0\0\0\0\x3a\xff\xf4\x41\x80", "out of range"); /* the year 10000 */
    MSGPACK_REFUSED("\x81\x01\x02", "key is no text");
    MSGPACK_REFUSED("\x82\xa1z\x01\xa1z\x02", "stands twice");
    MSGPACK_REFUSED("\xa2x\0", "NUL");
    MSGPACK_REFUSED("\xa2\xc3\x28", "not UTF-8");
    MSGPACK_REFUSED("\xc1", "byte c1");
    MSGPACK_REFUSED("\x01\x02", "behind the msgpack object");
    MSGPACK_REFUSED("\xdd\xff\xff\xff\xff", "ends too early");
    MSGPACK_REFUSED("\xdb\xff\xff\xff\xff", "ends too early");
    static char deep[100000];
    memset(deep, '\x91', sizeof deep);
    msgpack_is_refused(deep, sizeof deep, "32 levels");
}

Test(reader, every_prefix_of_a_msgpack_object_is_refused)
{
    static const char bytes[] = "\x84\xa1z\x93\x01\xca\x3d\xcc\xcc\xcd\xc4\x02xx\xa1y\xd7\xff\x3b\x9a\xca\0\x69\x68\xb4\xe8\xa1x"
                                "\xd9\x02hi\xa1w\xd3\1\1\1\1\1\1\1\1";
    struct error err;
    struct value_pool *pool = value_pool_new();
    for (size_t length = 0; length < sizeof bytes - 1; length++)
        cr_assert_null(msgpack_value(pool, bytes, length, &err), "%zu", length);
    cr_assert_not_null(msgpack_value(pool, bytes, sizeof bytes - 1, &err));
    value_pool_free(pool);
}

Test(reader, base64_reads_what_it_writes_and_nothing_else)
{
    for (size_t length = 0; length < 20; length++) {
        uint8_t bytes[20], again[20];
        char text[32];
        for (size_t i = 0; i < length; i++)
            bytes[i] = (uint8_t)(i * 37 + length);
        size_t written = base64_encode(text, bytes, length);
        cr_assert_eq(written, BASE64_LENGTH(length));
        cr_assert(base64_decode(text, written, again, length));
        cr_assert_arr_eq(bytes, again, length);
    }
    uint8_t bytes[4];
    cr_assert(!base64_decode("AB==", 4, bytes, 1), "bits that say nothing");
    cr_assert(!base64_decode("A===", 4, bytes, 1));
    cr_assert(!base64_decode("AA=A", 4, bytes, 1));
    cr_assert(!base64_decode("AA*=", 4, bytes, 2));
    cr_assert(!base64_decode("AA==", 4, bytes, 2));
}
