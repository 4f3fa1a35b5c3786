/* ground.c - see ground.h.
 *
 * Not the command's own work with its last step left out: that stops at the first thing that is wrong, and whoever sets a login up
 * wants to hear of all of them.
 */
#include "operator/ground.h"

#include <stdio.h>

#include "common/check.h"
#include "common/check_kafka.h"
#include "common/check_postgres.h"
#include "common/cli.h"
#include "common/settings.h"
#include "operator/topic.h"

static bool ask_kafka(struct check *check, const struct settings *settings, const struct ground *ground)
{
    struct error err = {0};
    const struct check_right right = {"topic", ground->topic, ground->operation};
    int topic_partitions;
    rd_kafka_t *client = topic_client(settings, &err);
    if (!client) {
        return check_found(check, &err);
    }
    const bool is_good = check_kafka(check, client, ground->topic, &right, 1, &topic_partitions);
    rd_kafka_destroy(client);
    return is_good;
}

static int check_all(const struct settings *settings, const struct ground *ground, const struct cli_result *command,
                     bool (*also)(struct check *check, const struct cli_result *command))
{
    struct check check = {.program = ground->program};
    bool is_good = check_postgres(&check, settings_text(settings, "postgres.dsn"), ground->role, NULL);
    is_good &= !ground->topic || ask_kafka(&check, settings, ground);
    is_good &= !also || also(&check, command);
    if (is_good) {
        printf("settings, %s, schema and rights are in order\n", ground->topic ? "servers" : "server");
    }
    return check_exit_code(&check);
}

int ground_check_also(const struct cli_result *command, const struct ground *ground,
                      bool (*also)(struct check *check, const struct cli_result *command))
{
    return check_all(command->settings, ground, command, also);
}

int ground_check(const struct settings *settings, const struct ground *ground)
{
    return check_all(settings, ground, NULL, NULL);
}
