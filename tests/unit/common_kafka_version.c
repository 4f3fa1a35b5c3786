/* Which librdkafka ours runs on. */
#include <criterion/criterion.h>
#include <librdkafka/rdkafka.h>
#include <string.h>

#include "common/error.h"
#include "common/kafka_version.h"

Test(kafka_version, takes_the_least_release_and_this_one)
{
    struct error err = {0};
    cr_expect(kafka_version_check(0x020601ff, "2.6.1", &err));
    cr_expect(kafka_version_check(rd_kafka_version(), rd_kafka_version_str(), &err), "%s", err.text);
}

Test(kafka_version, refuses_older_ones_with_the_reason_and_the_remedy)
{
    static const struct {
        int version;
        const char *name;
    } older[] = {{0x020600ff, "2.6.0"}, {0x020601c8, "2.6.1-RC1"}, {0x020002ff, "2.0.2"}, {0x010900ff, "1.9.0"}};
    for (size_t i = 0; i < sizeof older / sizeof *older; i++) {
        struct error err = {0};
        cr_expect_not(kafka_version_check(older[i].version, older[i].name, &err));
        cr_expect_eq(err.kind, ERROR_USAGE);
        char begins[64];
        snprintf(begins, sizeof begins, "librdkafka %s is too old, the least is 2.6.1", older[i].name);
        cr_expect_eq(strncmp(err.text, begins, strlen(begins)), 0, "%s", err.text);
        cr_expect(strstr(err.text, "SCRAM") != NULL && strstr(err.text, "-DTALLYMILL_LIBRDKAFKA=bundled") != NULL, "%s", err.text);
    }
}
