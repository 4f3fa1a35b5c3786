/* How a damage is named, for people and for programs. */
#include <criterion/criterion.h>
#include <stdio.h>
#include <stdlib.h>

#include "operator/finding.h"

static void prints_as(const struct finding *finding, const char *expected)
{
    char *text = NULL;
    size_t length = 0;
    FILE *out = open_memstream(&text, &length);
    finding_print(finding, out);
    fclose(out);
    cr_expect_str_eq(text, expected);
    free(text);
}

Test(finding, names_every_place_that_applies)
{
    struct finding finding = finding_make("hole", "nothing covers them");
    prints_as(&finding, "nothing covers them\n");
    finding.topic = "events";
    finding.topic_partition = 3;
    finding.first_offset = 100;
    finding.next_offset = 200;
    finding.batch_id = 17;
    prints_as(&finding, "topic events, topic partition 3, offsets 100 to 199, batch 17: nothing covers them\n");
    finding.next_offset = 101;
    prints_as(&finding, "topic events, topic partition 3, offset 100, batch 17: nothing covers them\n");
}

Test(finding, names_a_day_without_a_topic)
{
    struct finding finding = finding_make("event stored twice", "twice");
    finding.day = "2026-11-24";
    prints_as(&finding, "day 2026-11-24: twice\n");
}

Test(finding, as_json_leaves_out_what_does_not_apply)
{
    struct finding finding = finding_make("hole", "nothing covers them");
    finding.topic = "events";
    finding.topic_partition = 0;
    json_t *json = finding_json(&finding);
    char *text = json_dumps(json, JSON_COMPACT | JSON_SORT_KEYS);
    cr_expect_str_eq(text, "{\"damage\":\"nothing covers them\",\"kind\":\"hole\",\"topic\":\"events\",\"topic_partition\":0}");
    free(text);
    json_decref(json);
}
