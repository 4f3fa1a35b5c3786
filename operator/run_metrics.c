/* run_metrics.c - see run_metrics.h.
 *
 * Rejected: pushing to a gateway (a server more, which must be there when the command ends). The temporary name does not end in
 * .prom: the collector would read half a file.
 */
#include "operator/run_metrics.h"

#include <assert.h>
#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/clock.h"
#include "common/error.h"
#include "common/log.h"
#include "common/metrics.h"

enum { SUCCESS, EXIT_CODE, LAST_RUN, DURATION, OF_ALL };
enum { READ_BY_ALL = 0644 };

static const struct metric of_all[OF_ALL] = {
    [SUCCESS] = {.name = "success", .help = "1 if the last run ended with exit code 0, else 0", .kind = METRIC_GAUGE},
    [EXIT_CODE] = {.name = "exit_code", .help = "of the last run", .kind = METRIC_GAUGE},
    [LAST_RUN] = {.name = "last_run_timestamp_seconds", .help = "when the last run ended, Unix time", .kind = METRIC_GAUGE},
    [DURATION] = {.name = "duration_seconds", .help = "how long the last run took", .kind = METRIC_GAUGE, .unit = METRIC_SECONDS},
};

/* Everything as one text; the caller frees it. */
static char *format(const char *prefix, int exit_code, int64_t took_us, const struct run_figure *figures, int count,
                    struct error *err)
{
    struct metric table[OF_ALL + RUN_FIGURES_MAX];
    char *text = NULL;
    size_t length;
    assert(count <= RUN_FIGURES_MAX);
    memcpy(table, of_all, sizeof of_all);
    for (int i = 0; i < count; i++) {
        table[OF_ALL + i] = (struct metric){.name = figures[i].name, .help = figures[i].help, .kind = METRIC_GAUGE};
    }
    struct metrics *metrics = metrics_new(prefix, table, OF_ALL + count, err);
    FILE *out = metrics ? open_memstream(&text, &length) : NULL;
    if (out) {
        metrics_set(metrics, SUCCESS, 0, exit_code == 0);
        metrics_set(metrics, EXIT_CODE, 0, exit_code);
        metrics_set(metrics, LAST_RUN, 0, clock_wall_us() / CLOCK_SECOND_US);
        metrics_set(metrics, DURATION, 0, took_us);
        for (int i = 0; i < count; i++) {
            metrics_set(metrics, OF_ALL + i, 0, figures[i].value);
        }
        metrics_write(metrics, out, clock_now_us());
    }
    if (out && fclose(out) != 0) {
        free(text);
        text = NULL;
    }
    metrics_free(metrics);
    if (!text && err->kind == ERROR_NONE) {
        error_set(err, ERROR_RETRY, "no memory for the metrics");
    }
    return text;
}

/* Whole on the disk, or errno says why not. */
static bool write_whole(int fd, const char *text)
{
    FILE *file = fdopen(fd, "w");
    if (!file) {
        close(fd);
        return false;
    }
    const bool is_written = fputs(text, file) >= 0 && fflush(file) == 0 && fchmod(fd, READ_BY_ALL) == 0 && fsync(fd) == 0;
    const int failure = errno;
    const bool is_closed = fclose(file) == 0;
    errno = is_written ? errno : failure;
    return is_written && is_closed;
}

static bool write_file(const char *path, const char *text, struct error *err)
{
    char beside[PATH_MAX];
    if ((size_t)snprintf(beside, sizeof beside, "%s.XXXXXX", path) >= sizeof beside) {
        return error_set(err, ERROR_USAGE, "--metrics: the name is too long");
    }
    const int fd = mkstemp(beside);
    const bool is_there = fd >= 0 && write_whole(fd, text) && rename(beside, path) == 0;
    const int failure = errno;
    if (!is_there && fd >= 0) {
        unlink(beside);
    }
    return is_there || error_set(err, ERROR_RETRY, "--metrics: %s was not written: %s", path, strerror(failure));
}

void run_metrics_end(const char *path, const char *prefix, int64_t began_us, int exit_code, const struct run_figure *figures,
                     int count, struct error *err)
{
    struct error failed = {0};
    if (!path) {
        return;
    }
    char *text =
        format(prefix, exit_code != 0 ? exit_code : error_exit_code(err), clock_now_us() - began_us, figures, count, &failed);
    const bool is_written = text && write_file(path, text, &failed);
    free(text);
    if (!is_written && err->kind == ERROR_NONE) {
        *err = failed;
    } else if (!is_written) {
        log_error_because(&failed, "the metrics of this run were not written", NULL);
    }
}
