/* doctor_host.c - what `tallymill doctor` sees on this host: files that the settings name, clocks, the disk, and the programs that
 * run here with the same settings. */
#include "operator/doctor.h"

#include <ctype.h>
#include <dirent.h>
#include <fcntl.h>
#include <inttypes.h>
#include <limits.h>
#include <poll.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/clock.h"
#include "common/disk.h"
#include "common/settings.h"
#include "operator/answer.h"
#include "operator/archive_store.h"
#include "operator/terminal.h"
#include "operator/topic.h"

enum {
    CLOCK_WARNING_SECONDS = 30,
    CLOCK_FINDING_SECONDS = 300,
    COPIES_SECONDS = 30, /* so long a message may be unseen by readers, until its copies are made (replica.lag.time.max.ms) */
    KAFKA_MS = 5000
};

#define ADDRESS_MAX  4096
#define SYSTEMCTL_US (5 * CLOCK_SECOND_US)
#define GIB          (INT64_C(1) << 30)

/* Of whoever archives: root, or whom the target belongs to. Others have nothing to do there, and it may be on another host. */
static void judge_archives(struct doctor *doctor)
{
    struct error err = {0};
    struct archive_rights rights = {0};
    const char *target = settings_text(doctor->settings, "archive.target");
    struct archive_store *store = target[0] == '/' ? archive_store_open(doctor->settings, target, &err) : NULL;
    if (store && !archive_store_rights(store, &rights, &err) && rights.is_owner) {
        doctor_tell(doctor, DOCTOR_FINDING, "archive.target", err.text, "no month leaves, and none comes back",
                    "tallymill archive --check");
    } else if (store && rights.is_owner && rights.what[0] != '\0') {
        doctor_tell(doctor, DOCTOR_FINDING, "archive.target", rights.what,
                    "the next tallymill archive, restore or erase ends there", rights.remedy);
    }
    archive_store_close(store);
}

void doctor_settings(struct doctor *doctor)
{
    struct error err = {0};
    struct stat status;
    char what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    const char *catalogue_file = settings_text(doctor->settings, "catalogue.file"),
               *rollups = settings_text(doctor->settings, "rollups.dir");
    const char *dsn = settings_written(doctor->settings, "postgres.dsn");
    struct catalogue *catalogue = catalogue_file[0] ? catalogue_load(catalogue_file, &err) : NULL;
    if (catalogue_file[0] && !catalogue) {
        snprintf(remedy, sizeof remedy, "correct catalogue.file (%.200s)", settings_origin(doctor->settings, "catalogue.file"));
        doctor_tell(doctor, DOCTOR_FINDING, "catalogue.file", err.text, "no worker starts with it", remedy);
    }
    catalogue_free(catalogue);
    if (rollups[0] && (stat(rollups, &status) != 0 || !S_ISDIR(status.st_mode))) {
        snprintf(what, sizeof what, "rollups.dir = %.300s is no directory that can be read", rollups);
        snprintf(remedy, sizeof remedy, "correct rollups.dir (%.200s)", settings_origin(doctor->settings, "rollups.dir"));
        doctor_tell(doctor, DOCTOR_WARNING, "rollups.dir", what, "the next migrate finds no rollups", remedy);
    }
    if (dsn[0] == '@' && dsn[1] == '/' && stat(dsn + 1, &status) == 0 && (status.st_mode & S_IROTH) != 0) {
        snprintf(what, sizeof what, "everybody on this host can read %.300s", dsn + 1);
        snprintf(remedy, sizeof remedy, "chmod o= %.300s", dsn + 1);
        doctor_tell(doctor, DOCTOR_WARNING, "postgres.dsn", what, "it holds the login of the database", remedy);
    }
    judge_archives(doctor);
}

/* How far this host's clock is ahead, as a finding. */
static void judge_clock(struct doctor *doctor, const char *object, int64_t ahead_us, bool is_least)
{
    char what[DOCTOR_TEXT_BYTES], age[TERMINAL_AGE_BYTES];
    const int64_t size_us = ahead_us < 0 ? -ahead_us : ahead_us;
    if (size_us < CLOCK_WARNING_SECONDS * CLOCK_SECOND_US) {
        return;
    }
    snprintf(what, sizeof what, "the clock of this host is %s%s %s that of %s", is_least ? "at least " : "",
             terminal_age(age, size_us), ahead_us > 0 ? "ahead of" : "behind", object);
    doctor_tell(
        doctor, size_us >= CLOCK_FINDING_SECONDS * CLOCK_SECOND_US ? DOCTOR_FINDING : DOCTOR_WARNING, object, what,
        "events are judged by the worker's clock (window.ahead, window.oldest), and days are closed by Postgres's",
        "timedatectl set-ntp true -- on this host and on the other; timedatectl timesync-status tells which of them is wrong");
}

/* Whether brokers date the messages; else the check says that it knows nothing of their clocks. */
static bool is_dated_by_kafka(struct doctor *doctor)
{
    const char *topic = settings_text(doctor->settings, "topics.events");
    char type[32];
    struct error err = {0};
    if (!topic_setting(doctor->client, topic, "message.timestamp.type", KAFKA_MS, type, sizeof type, &err)) {
        doctor_pass(doctor, "Kafka's: the topic's settings: %s", err.text);
        return false;
    }
    if (strcmp(type, "LogAppendTime") != 0) {
        doctor_pass(doctor, "Kafka's: topic %s has message.timestamp.type = %s, so producers date the messages, not brokers", topic,
                    type);
        return false;
    }
    return true;
}

/* Whether there is a message of that time (Unix milliseconds) or later, where brokers date them: of a time that has not come yet by
 * our clock there should be none. */
static bool has_message_from(struct doctor *doctor, int64_t from_ms)
{
    const char *topic = settings_text(doctor->settings, "topics.events");
    const int64_t topic_partitions = json_integer_value(json_object_get(doctor->versions, "topic_partitions"));
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new((int)topic_partitions);
    bool is_found = false;
    for (int i = 0; i < topic_partitions; i++) {
        rd_kafka_topic_partition_list_add(list, topic, i)->offset = from_ms;
    }
    if (rd_kafka_offsets_for_times(doctor->client, list, KAFKA_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (int i = 0; i < list->cnt; i++) {
            is_found |= list->elems[i].err == RD_KAFKA_RESP_ERR_NO_ERROR && list->elems[i].offset >= 0;
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    return is_found;
}

/* Whether what came since the topic's ends were read (doctor_workers) is dated seconds or more before that. While nothing comes
 * nobody can tell: a message may be old because it is. */
static bool is_behind(struct doctor *doctor, int64_t seconds)
{
    const char *topic = settings_text(doctor->settings, "topics.events");
    const struct backlog *before = &doctor->backlog;
    struct error err = {0};
    struct topic now = {0};
    bool is_found = false;
    if (!before->logs || !topic_read(doctor->client, topic, KAFKA_MS, &now, &err)) {
        topic_free(&now);
        return false;
    }
    rd_kafka_topic_partition_list_t *list = rd_kafka_topic_partition_list_new(now.count);
    for (int i = 0; i < now.count && i < before->count; i++) {
        if (before->logs[i].is_in_kafka && now.logs[i].high > before->logs[i].high) {
            rd_kafka_topic_partition_list_add(list, topic, i)->offset = before->asked_us / 1000 - seconds * 1000;
        }
    }
    if (list->cnt > 0 && rd_kafka_offsets_for_times(doctor->client, list, KAFKA_MS) == RD_KAFKA_RESP_ERR_NO_ERROR) {
        for (int i = 0; i < list->cnt; i++) { /* the first that is not so old; below 0: all are */
            const rd_kafka_topic_partition_t *young = &list->elems[i];
            is_found |= young->err == RD_KAFKA_RESP_ERR_NO_ERROR &&
                        (young->offset < 0 || young->offset > before->logs[young->partition].high);
        }
    }
    rd_kafka_topic_partition_list_destroy(list);
    topic_free(&now);
    return is_found;
}

/* A clock that is ahead is seen by messages of the future, one that is behind by what comes meanwhile. */
static void judge_kafka(struct doctor *doctor)
{
    if (!is_dated_by_kafka(doctor)) {
        return;
    }
    if (has_message_from(doctor, clock_wall_us() / 1000 + CLOCK_FINDING_SECONDS * 1000)) {
        judge_clock(doctor, "Kafka", -CLOCK_FINDING_SECONDS * CLOCK_SECOND_US, true);
    } else if (has_message_from(doctor, clock_wall_us() / 1000 + CLOCK_WARNING_SECONDS * 1000)) {
        judge_clock(doctor, "Kafka", -CLOCK_WARNING_SECONDS * CLOCK_SECOND_US, true);
    } else if (is_behind(doctor, CLOCK_FINDING_SECONDS)) {
        judge_clock(doctor, "Kafka", CLOCK_FINDING_SECONDS * CLOCK_SECOND_US, true);
    } else if (is_behind(doctor, CLOCK_WARNING_SECONDS + COPIES_SECONDS)) {
        judge_clock(doctor, "Kafka", (CLOCK_WARNING_SECONDS + COPIES_SECONDS) * CLOCK_SECOND_US, true);
    }
}

void doctor_clocks(struct doctor *doctor)
{
    const int64_t before_us = clock_wall_us();
    PGresult *now =
        doctor->conn ? doctor_ask(doctor, "SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_us") : NULL;
    if (now) {
        judge_clock(doctor, "Postgres", before_us + (clock_wall_us() - before_us) / 2 - answer_int(now, 0, "now_us"), false);
    }
    if (doctor->has_topic) {
        judge_kafka(doctor);
    }
    if (!now || !doctor->has_topic) {
        doctor_pass(doctor, "%s",
                    now                 ? "Kafka's: it did not tell about the topic"
                    : doctor->has_topic ? "Postgres's: it did not answer"
                                        : "neither server answered");
    }
    PQclear(now);
}

void doctor_disk(struct doctor *doctor)
{
    struct error err = {0};
    struct disk disk;
    char what[DOCTOR_TEXT_BYTES], lasts[64] = "";
    if (!disk_look(doctor->conn, settings_int(doctor->settings, "postgres.disk_size"), &disk, &err)) {
        doctor_pass_error(doctor, &err);
        return;
    }
    if (disk.source == DISK_UNKNOWN) {
        doctor_pass(doctor, "unknown: Postgres's directory is not on this host, or the login may not know it "
                            "(pg_read_all_settings); set postgres.disk_size");
        return;
    }
    const int64_t days = disk_days_left(&disk);
    const enum disk_room room = disk_judge(&disk);
    if (room == DISK_ROOMY) {
        return;
    }
    if (days >= 0) {
        snprintf(lasts, sizeof lasts, ", which lasts for %" PRId64 " days", days);
    }
    snprintf(what, sizeof what, "the disk of Postgres (%s) has %.1f GiB of %.1f GiB free, %d %%%s",
             disk.source == DISK_SEEN ? disk.directory : "postgres.disk_size", (double)disk.free_bytes / (double)GIB,
             (double)disk.size_bytes / (double)GIB, disk_free_percent(&disk), lasts);
    doctor_tell(doctor, room == DISK_SHORT ? DOCTOR_FINDING : DOCTOR_WARNING, "disk", what,
                "on a full disk nothing is stored, and a full WAL stops the server",
                "SELECT c.relname, pg_size_pretty(pg_total_relation_size(c.oid)) FROM pg_class c WHERE c.relkind = 'r' ORDER BY "
                "pg_total_relation_size(c.oid) DESC LIMIT 10 -- what "
                "fills it; make the disk larger, or remove what nobody needs");
}

/* The begin of a file of /proc or /sys, with a NUL behind; false: it is not there, or not for us. */
static bool read_begin(const char *path, char *text, size_t size, size_t *length)
{
    FILE *file = fopen(path, "re");
    *length = file ? fread(text, 1, size - 1, file) : 0;
    text[*length] = '\0';
    if (file) {
        fclose(file);
    }
    return *length > 0;
}

/* The settings file of a process as an absolute name without links; false: it has none, or it cannot be known. */
static bool settings_file_of(const char *pid, char path[PATH_MAX])
{
    char name[64], words[ADDRESS_MAX], cwd[PATH_MAX], relative[2 * PATH_MAX];
    size_t length;
    snprintf(name, sizeof name, "/proc/%.20s/cmdline", pid);
    if (!read_begin(name, words, sizeof words, &length)) {
        return false;
    }
    const char *file = NULL;
    for (const char *word = words; word < words + length; word += strlen(word) + 1) {
        if (strncmp(word, "--config=", 9) == 0) {
            file = word + 9;
        } else if (strcmp(word, "--config") == 0 && word + 9 < words + length) {
            file = word + 9;
        }
    }
    if (!file) {
        return false;
    }
    snprintf(name, sizeof name, "/proc/%.20s/cwd", pid);
    const ssize_t got = file[0] == '/' ? 0 : readlink(name, cwd, sizeof cwd - 1);
    if (got < 0) {
        return false;
    }
    cwd[got] = '\0';
    snprintf(relative, sizeof relative, "%s%s%s", cwd, got > 0 ? "/" : "", file);
    return realpath(relative, path) != NULL;
}

/* "max" and what is not there are no limit: -1. */
static int64_t limit_of(const char *group, const char *what)
{
    char path[PATH_MAX], text[64];
    size_t length;
    snprintf(path, sizeof path, "/sys/fs/cgroup%s/%s", group, what);
    return read_begin(path, text, sizeof text, &length) && isdigit((unsigned char)text[0]) ? strtoll(text, NULL, 10) : -1;
}

/* The limits of the process's control group, which systemd makes of MemoryMax= and TasksMax=, beside memory.max of the settings. */
static void judge_limits(struct doctor *doctor, const char *pid, const char *program)
{
    char name[64], text[ADDRESS_MAX], what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    size_t length;
    snprintf(name, sizeof name, "/proc/%.20s/cgroup", pid);
    if (!read_begin(name, text, sizeof text, &length) || strncmp(text, "0::", 3) != 0) {
        return;
    }
    text[strcspn(text, "\n")] = '\0';
    const int64_t memory = limit_of(text + 3, "memory.max"), wanted = settings_int(doctor->settings, "memory.max");
    const int64_t tasks_max = limit_of(text + 3, "pids.max"), tasks = limit_of(text + 3, "pids.current");
    if (memory >= 0 && memory < wanted + wanted / 2) {
        snprintf(what, sizeof what,
                 "%s (pid %s) may hold %" PRId64 " MiB by its control group, and memory.max of the settings is %" PRId64 " MiB",
                 program, pid, memory >> 20, wanted >> 20);
        snprintf(remedy, sizeof remedy, "systemctl edit %s -- [Service] MemoryMax=%" PRId64 "M, twice memory.max", program,
                 2 * wanted >> 20);
        doctor_tell(doctor, memory < wanted ? DOCTOR_FINDING : DOCTOR_WARNING, pid, what,
                    "the kernel kills it under load, though it keeps to its own limit", remedy);
    }
    if (tasks_max >= 0 && tasks * 5 > tasks_max * 4) {
        snprintf(what, sizeof what, "the control group of %s (pid %s) has %" PRId64 " of %" PRId64 " tasks", program, pid, tasks,
                 tasks_max);
        snprintf(remedy, sizeof remedy, "systemctl edit %s -- [Service] TasksMax=%" PRId64, program, 2 * tasks_max);
        doctor_tell(doctor, DOCTOR_WARNING, "tasks", what,
                    "each broker takes a thread of its own; one that cannot be made is never read from", remedy);
    }
}

static void judge_process(struct doctor *doctor, const char *pid, const char *program)
{
    static const char deleted[] = " (deleted)";
    char name[64], target[PATH_MAX], what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES];
    snprintf(name, sizeof name, "/proc/%.20s/exe", pid);
    const ssize_t got = readlink(name, target, sizeof target - 1);
    target[got > 0 ? got : 0] = '\0';
    if (got > (ssize_t)sizeof deleted && strcmp(target + got - (sizeof deleted - 1), deleted) == 0) {
        snprintf(what, sizeof what, "%s (pid %s) runs a program that was replaced or removed: %.300s", program, pid, target);
        snprintf(remedy, sizeof remedy, "systemctl restart %s", program);
        doctor_tell(doctor, DOCTOR_WARNING, pid, what, "an upgrade has not come to it", remedy);
    }
    judge_limits(doctor, pid, program);
}

/* What systemctl prints, as long as it takes 5 s at most. False: it is not there, or systemd does not run this host. */
static bool ask_systemctl(char *text, size_t size)
{
    static const char *const words[] = {"systemctl",  "list-units",     "--state=failed",      "--plain", "--full", "--no-legend",
                                        "--no-pager", "--type=service", "tallymill-*.service", NULL};
    int ends[2], status = -1;
    pid_t pid;
    size_t length = 0;
    posix_spawn_file_actions_t actions;
    if (pipe2(ends, O_CLOEXEC) != 0 || posix_spawn_file_actions_init(&actions) != 0) {
        return false;
    }
    posix_spawn_file_actions_adddup2(&actions, ends[1], STDOUT_FILENO);
    posix_spawn_file_actions_addopen(&actions, STDERR_FILENO, "/dev/null", O_WRONLY, 0);
    const bool is_started = posix_spawnp(&pid, words[0], &actions, NULL, (char *const *)words, environ) == 0;
    posix_spawn_file_actions_destroy(&actions);
    close(ends[1]);
    const int64_t deadline_us = clock_now_us() + SYSTEMCTL_US;
    while (is_started) { /* ends: at the deadline, or with what it says */
        struct pollfd out = {.fd = ends[0], .events = POLLIN};
        const int64_t left_ms = (deadline_us - clock_now_us()) / 1000;
        const ssize_t got = left_ms > 0 && length + 1 < size && poll(&out, 1, (int)left_ms) > 0
                                ? read(ends[0], text + length, size - 1 - length)
                                : 0;
        if (got <= 0) {
            break;
        }
        length += (size_t)got;
    }
    text[length] = '\0';
    close(ends[0]);
    if (is_started) {
        if (clock_now_us() >= deadline_us) {
            kill(pid, SIGKILL);
        }
        waitpid(pid, &status, 0);
    }
    return is_started && WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Units of ours that systemd has given up: a worker that was refused (exit code 2) is not started again, and nobody else misses it.
 */
static void judge_units(struct doctor *doctor)
{
    char text[ADDRESS_MAX], what[DOCTOR_TEXT_BYTES], remedy[DOCTOR_TEXT_BYTES], *rest = NULL;
    if (!ask_systemctl(text, sizeof text)) {
        return;
    }
    doctor->failed_units = 0;
    for (char *line = strtok_r(text, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
        line += strspn(line, " ");
        line[strcspn(line, " ")] = '\0';
        if (strncmp(line, "tallymill-", 10) != 0) {
            continue;
        }
        doctor->failed_units++;
        snprintf(what, sizeof what, "unit %.200s of this host has failed", line);
        snprintf(remedy, sizeof remedy, "journalctl -u %.200s -n 50 -- once that is mended: systemctl restart %.200s", line, line);
        doctor_tell(doctor, DOCTOR_FINDING, line, what, "what it does is not done until somebody starts it again", remedy);
    }
}

/* Programs of this host that run with the same settings file: whatever else runs here is another pipeline's. */
void doctor_processes(struct doctor *doctor)
{
    static const struct {
        const char *comm, *unit; /* the kernel keeps 15 characters */
    } programs[] = {{"tallymill-consu", "tallymill-consumer@*"}, {"tallymill-aggre", "tallymill-aggregator"}};
    char ours[PATH_MAX], theirs[PATH_MAX], path[300], comm[32];
    size_t length;
    judge_units(doctor);
    DIR *all = settings_file_of("self", ours) ? opendir("/proc") : NULL;
    if (!all) {
        doctor_pass(doctor, "without --config FILE nobody knows which programs are meant, or /proc is not there");
        return;
    }
    for (const struct dirent *entry = readdir(all); entry; entry = readdir(all)) {
        snprintf(path, sizeof path, "/proc/%s/comm", entry->d_name);
        if (!isdigit((unsigned char)entry->d_name[0]) || !read_begin(path, comm, sizeof comm, &length)) {
            continue;
        }
        comm[strcspn(comm, "\n")] = '\0';
        for (size_t i = 0; i < sizeof programs / sizeof *programs; i++) {
            if (strcmp(comm, programs[i].comm) == 0 && settings_file_of(entry->d_name, theirs) && strcmp(ours, theirs) == 0) {
                judge_process(doctor, entry->d_name, programs[i].unit);
            }
        }
    }
    closedir(all);
}
