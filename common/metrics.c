/* metrics.c - see metrics.h.
 *
 * Invariant: a series lies at a place that follows from metric and number alone, so its label and its value can never be read
 * apart. A table of (label, value) pairs that series enter and leave, which would be smaller for topic partitions, needs a lock or
 * a sequence counter for that, and was rejected. What is not shown is held as 0 (a value is held with its sign bit turned), so that
 * memory that was never written says "nothing" and is never touched by whoever reads.
 */
#include "common/metrics.h"

#include <inttypes.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "common/error.h"

/* The bounds of every histogram, in microseconds: from a COMMIT on a fast disk to one behind a lock. */
static const int64_t bounds_us[] = {1000,   2500,    5000,    10000,   25000,    50000,    100000,  250000,
                                    500000, 1000000, 2500000, 5000000, 10000000, 30000000, 60000000};
enum { BOUNDS = sizeof bounds_us / sizeof *bounds_us, HISTOGRAM_CELLS = BOUNDS + 2, SUM = BOUNDS + 1, INFO_BYTES = 2048 };

struct metrics {
    const char *prefix;
    const struct metric *table;
    int count;
    int *first;        /* of each metric: its first cell; one more: the number of cells */
    atomic_int *reach; /* of each metric: series below it may be set */
    _Atomic int64_t *cells;
    char info[INFO_BYTES]; /* "topic=\"t\",group=\"g\"" */
    size_t info_used;
};

static int series_of(const struct metric *metric)
{
    int count = 0;
    if (!metric->label)
        return 1;
    if (!metric->names)
        return metric->series;
    while (metric->names[count])
        count++;
    return count;
}

static int cells_of(const struct metric *metric)
{
    return metric->kind == METRIC_HISTOGRAM ? HISTOGRAM_CELLS : series_of(metric);
}

static void put(_Atomic int64_t *cell, int64_t value)
{
    atomic_store_explicit(cell, value ^ INT64_MIN, memory_order_relaxed);
}

static bool get(const _Atomic int64_t *cell, int64_t *value)
{
    const int64_t held = atomic_load_explicit((_Atomic int64_t *)cell, memory_order_relaxed);
    *value = held ^ INT64_MIN;
    return held != 0;
}

/* One writer: reading and storing need not be one step. */
static void add(_Atomic int64_t *cell, int64_t amount)
{
    int64_t value;
    put(cell, get(cell, &value) ? value + amount : amount);
}

struct metrics *metrics_new(const char *prefix, const struct metric *table, int count, struct error *err)
{
    struct metrics *metrics = calloc(1, sizeof *metrics);
    if (!metrics)
        goto out;
    *metrics = (struct metrics){.prefix = prefix, .table = table, .count = count};
    metrics->first = calloc((size_t)count + 1, sizeof *metrics->first);
    metrics->reach = calloc((size_t)count + 1, sizeof *metrics->reach);
    if (!metrics->first || !metrics->reach)
        goto out;
    for (int i = 0; i < count; i++)
        metrics->first[i + 1] = metrics->first[i] + cells_of(&table[i]);
    metrics->cells = calloc((size_t)metrics->first[count] + 1, sizeof *metrics->cells);
    if (!metrics->cells)
        goto out;
    for (int i = 0; i < count; i++) {
        const bool is_counted = table[i].kind == METRIC_COUNTER || table[i].kind == METRIC_HISTOGRAM;
        for (int cell = metrics->first[i]; is_counted && cell < metrics->first[i + 1]; cell++)
            put(&metrics->cells[cell], 0);
        metrics->reach[i] = is_counted || !table[i].label || table[i].names ? series_of(&table[i]) : 0;
    }
    metrics_add_info(metrics, "version", TALLYMILL_VERSION);
    return metrics;
out:
    metrics_free(metrics);
    error_set(err, ERROR_RETRY, "no memory for the metrics");
    return NULL;
}

void metrics_free(struct metrics *metrics)
{
    if (!metrics)
        return;
    free(metrics->cells);
    free(metrics->reach);
    free(metrics->first);
    free(metrics);
}

/* A label that does not fit whole is left out. */
void metrics_add_info(struct metrics *metrics, const char *label, const char *value)
{
    char text[INFO_BYTES];
    size_t used = (size_t)snprintf(text, sizeof text, "%s%s=\"", metrics->info_used ? "," : "", label);
    for (; *value && used + 4 < sizeof text; value++) {
        if (*value == '\\' || *value == '"' || *value == '\n')
            text[used++] = '\\';
        text[used++] = *value == '\n' ? 'n' : *value;
    }
    text[used++] = '"';
    if (*value || metrics->info_used + used >= sizeof metrics->info)
        return;
    memcpy(metrics->info + metrics->info_used, text, used);
    metrics->info_used += used;
    metrics->info[metrics->info_used] = '\0';
}

/* ---- writing ---- */

static _Atomic int64_t *cell_of(struct metrics *metrics, int metric, int series)
{
    if (series < 0 || series >= metrics->first[metric + 1] - metrics->first[metric])
        return NULL;
    if (series >= atomic_load_explicit(&metrics->reach[metric], memory_order_relaxed))
        atomic_store_explicit(&metrics->reach[metric], series + 1, memory_order_relaxed);
    return &metrics->cells[metrics->first[metric] + series];
}

void metrics_add(struct metrics *metrics, int metric, int series, int64_t amount)
{
    _Atomic int64_t *cell = cell_of(metrics, metric, series);
    if (cell)
        add(cell, amount);
}

void metrics_set(struct metrics *metrics, int metric, int series, int64_t value)
{
    _Atomic int64_t *cell = cell_of(metrics, metric, series);
    if (cell)
        put(cell, value);
}

void metrics_observe(struct metrics *metrics, int metric, int64_t duration_us)
{
    _Atomic int64_t *cells = &metrics->cells[metrics->first[metric]];
    int bucket = 0;
    while (bucket < BOUNDS && duration_us > bounds_us[bucket])
        bucket++;
    add(&cells[bucket], 1);
    add(&cells[SUM], duration_us);
}

void metrics_drop(struct metrics *metrics, int metric)
{
    const int reach = atomic_load_explicit(&metrics->reach[metric], memory_order_relaxed);
    for (int i = 0; i < reach; i++)
        atomic_store_explicit(&metrics->cells[metrics->first[metric] + i], 0, memory_order_relaxed);
}

/* ---- reading ---- */

static void write_value(FILE *out, int64_t value, int unit)
{
    if (unit <= 1) {
        fprintf(out, " %" PRId64 "\n", value);
        return;
    }
    const uint64_t size = value < 0 ? 0 - (uint64_t)value : (uint64_t)value, step = (uint64_t)unit;
    fprintf(out, " %s%" PRIu64 ".%06" PRIu64 "\n", value < 0 ? "-" : "", size / step, size % step);
}

static void write_series(const struct metrics *metrics, int number, FILE *out, int64_t now_us)
{
    const struct metric *metric = &metrics->table[number];
    const int reach = atomic_load_explicit(&metrics->reach[number], memory_order_relaxed);
    for (int i = 0; i < reach; i++) {
        int64_t value;
        if (!get(&metrics->cells[metrics->first[number] + i], &value))
            continue;
        if (metric->kind == METRIC_AGE)
            value = now_us > value ? now_us - value : 0;
        fprintf(out, "%s_%s", metrics->prefix, metric->name);
        if (metric->label && metric->names)
            fprintf(out, "{%s=\"%s\"}", metric->label, metric->names[i]);
        else if (metric->label)
            fprintf(out, "{%s=\"%d\"}", metric->label, i);
        write_value(out, value, metric->kind == METRIC_AGE ? METRIC_SECONDS : metric->unit);
    }
}

static void write_histogram(const struct metrics *metrics, int number, FILE *out)
{
    const _Atomic int64_t *cells = &metrics->cells[metrics->first[number]];
    const char *name = metrics->table[number].name;
    int64_t count = 0, value, sum;
    get(&cells[SUM], &sum);
    for (int i = 0; i <= BOUNDS; i++) {
        get(&cells[i], &value);
        count += value;
        fprintf(out, "%s_%s_bucket{le=\"", metrics->prefix, name);
        if (i < BOUNDS)
            fprintf(out, "%g", (double)bounds_us[i] / METRIC_SECONDS);
        else
            fputs("+Inf", out);
        fprintf(out, "\"} %" PRId64 "\n", count);
    }
    fprintf(out, "%s_%s_sum", metrics->prefix, name);
    write_value(out, sum, METRIC_SECONDS);
    fprintf(out, "%s_%s_count %" PRId64 "\n", metrics->prefix, name, count);
}

void metrics_write(const struct metrics *metrics, FILE *out, int64_t now_us)
{
    static const char *const types[] = {
        [METRIC_COUNTER] = "counter", [METRIC_GAUGE] = "gauge", [METRIC_AGE] = "gauge", [METRIC_HISTOGRAM] = "histogram"};
    fprintf(out, "# HELP %s_info what runs here\n# TYPE %s_info gauge\n%s_info{%s} 1\n", metrics->prefix, metrics->prefix,
            metrics->prefix, metrics->info);
    for (int i = 0; i < metrics->count; i++) {
        const struct metric *metric = &metrics->table[i];
        fprintf(out, "# HELP %s_%s %s\n# TYPE %s_%s %s\n", metrics->prefix, metric->name, metric->help, metrics->prefix,
                metric->name, types[metric->kind]);
        if (metric->kind == METRIC_HISTOGRAM)
            write_histogram(metrics, i, out);
        else
            write_series(metrics, i, out, now_us);
    }
}

int64_t metrics_resident_bytes(void)
{
    long long pages = 0;
    FILE *file = fopen("/proc/self/statm", "re");
    if (!file)
        return 0;
    if (fscanf(file, "%*d %lld", &pages) != 1)
        pages = 0;
    fclose(file);
    return pages * sysconf(_SC_PAGESIZE);
}
