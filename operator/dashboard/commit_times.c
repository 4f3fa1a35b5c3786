/* commit_times.c - see commit_times.h. */
#include "operator/dashboard/commit_times.h"

#include <math.h>
#include <stdlib.h>
#include <string.h>

static const char bucket[] = "tallymill_consumer_commit_seconds_bucket{le=\"";

/* One line's bound and count. False: it is none, or the bounds do not grow. */
static bool read_bucket(const char *line, struct commit_times *times)
{
    char *end;
    const double bound = strtod(line + sizeof bucket - 1, &end);
    if (strncmp(end, "\"} ", 3) != 0 || isnan(bound) || (times->count > 0 && !(bound > times->bounds_s[times->count - 1])))
        return false;
    const char *number = end + 3;
    const double count = strtod(number, &end);
    if (end == number || !isfinite(count) || count < (times->count > 0 ? times->counts[times->count - 1] : 0))
        return false;
    times->bounds_s[times->count] = bound;
    times->counts[times->count++] = count;
    return true;
}

bool commit_times_read(const char *text, struct commit_times *times, struct error *err)
{
    *times = (struct commit_times){0};
    for (const char *line = text; *line != '\0';) { /* ends: with the text */
        if (strncmp(line, bucket, sizeof bucket - 1) == 0 && (times->count == COMMIT_BOUNDS || !read_bucket(line, times)))
            return error_set(err, ERROR_USAGE, "its histogram of commits cannot be read");
        line += strcspn(line, "\n");
        line += *line == '\n';
    }
    if (times->count < 2 || !isinf(times->bounds_s[times->count - 1]))
        return error_set(err, ERROR_USAGE, "what answers there is no worker: it shows no tallymill_consumer_commit_seconds");
    return true;
}

static bool has_bounds_of(const struct commit_times *one, const struct commit_times *other)
{
    return one->count == other->count && memcmp(one->bounds_s, other->bounds_s, (size_t)one->count * sizeof one->bounds_s[0]) == 0;
}

void commit_times_add(struct commit_times *sum, const struct commit_times *earlier, const struct commit_times *later)
{
    bool goes_on = has_bounds_of(earlier, later);
    for (int i = 0; goes_on && i < later->count; i++)
        goes_on = later->counts[i] >= earlier->counts[i];
    if (sum->count == 0) {
        *sum = *later;
        memset(sum->counts, 0, sizeof sum->counts);
    }
    if (!has_bounds_of(sum, later))
        return;
    for (int i = 0; i < later->count; i++)
        sum->counts[i] += later->counts[i] - (goes_on ? earlier->counts[i] : 0);
}

double commit_times_percentile(const struct commit_times *times, double share)
{
    const int last = times->count - 1;
    if (last < 1 || !(times->counts[last] > 0))
        return NAN;
    const double rank = share * times->counts[last];
    int at = 0;
    while (at < last && times->counts[at] < rank)
        at++;
    if (at == last)
        return times->bounds_s[last - 1];
    const double below = at > 0 ? times->counts[at - 1] : 0, from = at > 0 ? times->bounds_s[at - 1] : 0,
                 in = times->counts[at] - below;
    return in > 0 ? from + (times->bounds_s[at] - from) * (rank - below) / in : times->bounds_s[at];
}
