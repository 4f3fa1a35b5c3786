/* produce_check.c - see produce_check.h. */
#include "producer/produce_check.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "common/catalogue.h"
#include "common/check.h"
#include "common/check_kafka.h"
#include "common/error.h"
#include "common/kafka.h"
#include "common/settings.h"
#include "producer/sender.h"

static bool check_catalogue(struct check *check, const struct settings *settings)
{
    struct error err;
    struct catalogue *catalogue = catalogue_load(settings_text(settings, "catalogue.file"), &err);
    const bool is_good = catalogue != NULL || check_found(check, &err);
    catalogue_free(catalogue);
    return is_good;
}

/* A directory that is missing is made at the start. */
static bool check_spool(struct check *check, const struct settings *settings)
{
    struct error err;
    struct stat found;
    const char *directory = settings_text(settings, "spool.dir");
    if (*directory == '\0')
        return true;
    const bool is_there = stat(directory, &found) == 0;
    if (!is_there && errno == ENOENT)
        return true;
    if (is_there && !S_ISDIR(found.st_mode))
        errno = ENOTDIR;
    else if (is_there && access(directory, R_OK | W_OK | X_OK) == 0)
        return true;
    error_set(&err, ERROR_USAGE, "spool.dir = %s: %s", directory, strerror(errno));
    return check_found(check, &err);
}

static bool ask_kafka(struct check *check, const struct settings *settings)
{
    struct error err;
    const char *topic = settings_text(settings, "topics.events");
    const struct check_right right = {"topic", topic, RD_KAFKA_ACL_OPERATION_WRITE};
    int topic_partitions;
    rd_kafka_conf_t *conf = sender_conf(settings, &err);
    if (conf != NULL)
        kafka_conf_watch(conf);
    rd_kafka_t *handle = conf != NULL ? kafka_open(RD_KAFKA_PRODUCER, conf, &err) : NULL;
    if (handle == NULL)
        return check_found(check, &err);
    const bool is_good = check_kafka(check, handle, topic, &right, 1, &topic_partitions);
    if (is_good)
        printf("Kafka answers; topic %s has %d topic partition%s, whose leaders answer; we may write to it\n", topic,
               topic_partitions, topic_partitions == 1 ? "" : "s");
    rd_kafka_destroy(handle);
    return is_good;
}

int produce_check(const struct settings *settings)
{
    struct check check = {.program = "tallymill-produce"};
    check_catalogue(&check, settings);
    check_spool(&check, settings);
    ask_kafka(&check, settings);
    return check_exit_code(&check);
}
