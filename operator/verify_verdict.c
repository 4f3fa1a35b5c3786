/* verify_verdict.c - see verify_verdict.h. */
#include "operator/verify_verdict.h"

#include <stdio.h>

#include "common/number_text.h"

enum proof verify_verdict(const struct verify_found *found, bool is_strict, const struct error *err)
{
    if (found->differences > 0) {
        return PROOF_DAMAGED;
    }
    if (err->kind != ERROR_NONE) {
        return PROOF_NOT_PROVEN;
    }
    const bool is_whole =
        found->days_aside == 0 && found->rollups.aside == 0 && found->uniques.aside == 0 && found->pending_rows == 0;
    return is_strict && !is_whole ? PROOF_SET_ASIDE : PROOF_HOLDS;
}

/* "12 of 14 days and 771 of 5,695 rollups": how much was compared. A rollup is counted for each day or week that it has. */
static void print_compared(const struct verify_found *found, const char *verb)
{
    const struct rollups_verdict *rollups = &found->rollups;
    char compared[NUMBER_TEXT_BYTES], all[NUMBER_TEXT_BYTES];
    printf("%s of %s days%s", number_text(compared, found->days), number_text(all, found->days + found->days_aside), verb);
    if (rollups->compared + rollups->aside > 0) {
        printf("%s%s of %s rollups", *verb ? ", " : " and ", number_text(compared, rollups->compared),
               number_text(all, rollups->compared + rollups->aside));
    }
}

/* ", 12 of 14 days of uniques and 200 ranges": how much of them was compared. */
static void print_uniques(const struct uniques_verdict *uniques)
{
    char compared[NUMBER_TEXT_BYTES], all[NUMBER_TEXT_BYTES], ranges[NUMBER_TEXT_BYTES];
    if (uniques->days + uniques->aside > 0) {
        printf("; %s of %s days of uniques equal them", number_text(compared, uniques->days),
               number_text(all, uniques->days + uniques->aside));
    }
    if (uniques->ranges > 0) {
        printf(", and %s ranges the raw events", number_text(ranges, uniques->ranges));
    }
}

void verify_verdict_print(const struct verify_found *found, enum proof proof, const struct error *err)
{
    char number[NUMBER_TEXT_BYTES];
    switch (proof) {
    case PROOF_HOLDS:
        fputs("OK: the statistics of ", stdout);
        print_compared(found, " equal the raw events");
        fputs(found->rollups.compared > 0 ? " their queries" : "", stdout);
        print_uniques(&found->uniques);
        fputs(found->days_aside + found->rollups.aside + found->uniques.aside > 0 ? "; the others are set aside, named above" : "",
              stdout);
        break;
    case PROOF_DAMAGED:
        printf("DAMAGED: %s differences, each named above; compared were ", number_text(number, found->differences));
        print_compared(found, "");
        fputs(err->kind != ERROR_NONE ? ", then an error ended it" : "", stdout);
        break;
    case PROOF_SET_ASIDE:
        fputs("SET ASIDE: no difference was found, but with --strict all must be compared, and compared were ", stdout);
        print_compared(found, "");
        break;
    case PROOF_NOT_PROVEN:
        fputs("NOT PROVEN: an error ended it; no difference was found until then, in ", stdout);
        print_compared(found, "");
        break;
    }
    if (found->pending_rows > 0) {
        printf("; %s newer rows are not in the statistics yet and were not compared", number_text(number, found->pending_rows));
    }
    fputs(".\n", stdout);
}

void verify_verdict_add(const struct verify_found *found, json_t *answer)
{
    json_object_set_new(answer, "days", json_integer(found->days));
    json_object_set_new(answer, "pending_rows", json_integer(found->pending_rows));
    json_object_set_new(
        answer, "rollups",
        json_pack("{s:I, s:I}", "compared", (json_int_t)found->rollups.compared, "set_aside", (json_int_t)found->rollups.aside));
    json_object_set_new(answer, "uniques",
                        json_pack("{s:I, s:I, s:I}", "days", (json_int_t)found->uniques.days, "set_aside",
                                  (json_int_t)found->uniques.aside, "ranges", (json_int_t)found->uniques.ranges));
}
