/* failpoint.c - see failpoint.h.
 *
 * The environment is read once, at the first step reached. A list that cannot be read ends the process (exit code 2): a test
 * whose failpoint is misspelt would otherwise pass for the wrong reason. The steps themselves are free when none is set: one
 * load of a count that is 0.
 */
#include "common/failpoint.h"

#ifdef TALLYMILL_FAILPOINTS

#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

enum { POINT_COUNT = 16, NAME_BYTES = 64, EXIT_CODE = 86 };
enum action { ACTION_EXIT, ACTION_STOP, ACTION_ABORT };

struct point {
    char name[NAME_BYTES];
    enum action action;
    int64_t at;
    atomic_llong reached;
    atomic_bool has_acted;
};

static struct point points[POINT_COUNT];
static size_t point_count;
static pthread_once_t read_once = PTHREAD_ONCE_INIT;

static void refuse(const char *entry)
{
    fprintf(stderr, "TALLYMILL_FAILPOINT: \"%s\" is not NAME:exit|stop|abort[:N], or too many\n", entry);
    _exit(2);
}

static void read_point(char *entry)
{
    char copy[128];
    snprintf(copy, sizeof copy, "%s", entry);
    char *rest = entry;
    const char *name = strsep(&rest, ":"), *action = strsep(&rest, ":"), *at = rest;
    if (point_count == POINT_COUNT || action == NULL || name[0] == '\0' || strlen(name) >= NAME_BYTES)
        refuse(copy);
    struct point *point = &points[point_count++];
    memcpy(point->name, name, strlen(name) + 1);
    if (strcmp(action, "exit") == 0)
        point->action = ACTION_EXIT;
    else if (strcmp(action, "stop") == 0)
        point->action = ACTION_STOP;
    else if (strcmp(action, "abort") == 0)
        point->action = ACTION_ABORT;
    else
        refuse(copy);
    char *end = NULL;
    point->at = at != NULL ? strtoll(at, &end, 10) : 1;
    if (at != NULL && (end == at || *end != '\0' || point->at < 1))
        refuse(copy);
}

static void read_environment(void)
{
    const char *value = getenv("TALLYMILL_FAILPOINT");
    if (value == NULL || value[0] == '\0')
        return;
    char list[2048];
    if (strlen(value) >= sizeof list)
        refuse("(the whole list)");
    memcpy(list, value, strlen(value) + 1);
    char *rest = list;
    for (char *entry; (entry = strsep(&rest, ",")) != NULL;)
        read_point(entry);
}

static void act(struct point *point)
{
    if (atomic_exchange(&point->has_acted, true))
        return;
    fprintf(stderr, "failpoint %s\n", point->name);
    switch (point->action) {
    case ACTION_EXIT: _exit(EXIT_CODE);
    case ACTION_STOP: kill(getpid(), SIGSTOP); break;
    case ACTION_ABORT: abort();
    }
}

static struct point *find(const char *name)
{
    pthread_once(&read_once, read_environment);
    for (size_t i = 0; i < point_count; i++)
        if (strcmp(points[i].name, name) == 0)
            return &points[i];
    return NULL;
}

void failpoint_reach(const char *name)
{
    struct point *point = find(name);
    if (point != NULL && atomic_fetch_add(&point->reached, 1) + 1 >= point->at)
        act(point);
}

void failpoint_count(const char *name, int64_t counter)
{
    struct point *point = find(name);
    if (point != NULL && counter >= point->at)
        act(point);
}

#endif
