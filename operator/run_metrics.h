/* run_metrics.h - how a command went, as a file that Prometheus's node exporter reads (its textfile collector).
 *
 * The file appears whole: written beside its place, brought to the disk, and renamed. It stays until the next run, so whoever reads
 * it compares the time that it holds. One thread.
 */
#ifndef TALLYMILL_OPERATOR_RUN_METRICS_H
#define TALLYMILL_OPERATOR_RUN_METRICS_H

#include <stdbool.h>
#include <stdint.h>

struct error;

/* A figure of the command's own. `name` is without its prefix. */
struct run_figure {
    const char *name, *help;
    int64_t value;
};

enum { RUN_FIGURES_MAX = 16 };

/* The help line of the option. */
#define RUN_METRICS_HELP                                                                                                           \
    "also write how it went to FILE, in Prometheus's text format (for the node exporter: a name that ends in .prom)"

/* The end of a command's work, with the exit code and error that it ends with: writes PREFIX_success, _exit_code,
 * _last_run_timestamp_seconds, _duration_seconds (since began_us, monotonic) and the figures to `path` (NULL: nothing is done). A
 * file that cannot be written is an error (ERROR_RETRY) like any other; where *err holds one already, it is a line of the log. */
void run_metrics_end(const char *path, const char *prefix, int64_t began_us, int exit_code, const struct run_figure *figures,
                     int count, struct error *err);

#endif
