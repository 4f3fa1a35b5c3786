/* health.c - see health.h.
 *
 * Each member is an atomic of its own: an answer may pair a reason with the moment of the one before it, for as long as two stores
 * take. A lock that the main loop would share with a thread that serves strangers was rejected.
 */
#include "health.h"

#include <stdlib.h>
#include <string.h>

#include "clock.h"

/* What a turn may take at most by design: connecting, claiming and finding refused rows have deadlines of seconds. */
#define HUNG_US (60 * CLOCK_SECOND_US)

void health_init(struct health *health, const char *state, int64_t patience_us, int64_t now_us)
{
    atomic_store(&health->state, state);
    atomic_store(&health->reason, "it is starting");
    atomic_store(&health->reason_since_us, now_us);
    atomic_store(&health->waits_since_us, 0);
    atomic_store(&health->patience_us, patience_us);
}

void health_set_state(struct health *health, const char *state)
{
    atomic_store_explicit(&health->state, state, memory_order_relaxed);
}

void health_set_patience(struct health *health, int64_t patience_us)
{
    atomic_store_explicit(&health->patience_us, patience_us, memory_order_relaxed);
}

void health_set_reason(struct health *health, const char *reason, int64_t now_us)
{
    if (atomic_load_explicit(&health->reason, memory_order_relaxed) == reason)
        return;
    atomic_store_explicit(&health->reason_since_us, now_us, memory_order_relaxed);
    atomic_store_explicit(&health->reason, reason, memory_order_relaxed);
}

/* What would end the JSON text early becomes an apostrophe. */
static char *plain_copy(const char *reason)
{
    char *copy = strdup(reason);
    for (char *at = copy; at && *at; at++)
        if (*at == '"' || *at == '\\' || (unsigned char)*at < 0x20)
            *at = '\'';
    return copy;
}

void health_set_reason_text(struct health *health, const char *reason, int64_t now_us)
{
    char *copy = plain_copy(reason);
    const char *shown = "see the log";
    for (int i = 0; copy && i < HEALTH_TEXTS; i++) {
        if (!health->texts[i]) {
            shown = health->texts[i] = copy;
            copy = NULL;
        } else if (strcmp(health->texts[i], copy) == 0) {
            shown = health->texts[i];
            break;
        }
    }
    free(copy);
    health_set_reason(health, shown, now_us);
}

void health_free(struct health *health)
{
    atomic_store(&health->reason, NULL);
    for (int i = 0; i < HEALTH_TEXTS; i++)
        free(health->texts[i]);
}

void health_set_work(struct health *health, bool waits, bool moved, int64_t now_us)
{
    if (!waits)
        atomic_store_explicit(&health->waits_since_us, 0, memory_order_relaxed);
    else if (moved || atomic_load_explicit(&health->waits_since_us, memory_order_relaxed) == 0)
        atomic_store_explicit(&health->waits_since_us, now_us, memory_order_relaxed);
}

bool health_write(struct health *health, FILE *out, int64_t turned_us, int64_t now_us)
{
    const char *state = atomic_load_explicit(&health->state, memory_order_relaxed);
    const char *reason = atomic_load_explicit(&health->reason, memory_order_relaxed);
    const int64_t waits_us = atomic_load_explicit(&health->waits_since_us, memory_order_relaxed);
    int64_t since_us = atomic_load_explicit(&health->reason_since_us, memory_order_relaxed);
    if (turned_us != 0 && now_us - turned_us > HUNG_US) {
        reason = "the main loop does not turn";
        since_us = turned_us;
    } else if (!reason && waits_us != 0 && now_us - waits_us > atomic_load_explicit(&health->patience_us, memory_order_relaxed)) {
        reason = "work waits, and none was done";
        since_us = waits_us;
    }
    if (!reason) {
        fprintf(out, "{\"status\":\"ok\",\"state\":\"%s\"}\n", state);
        return true;
    }
    fprintf(out, "{\"status\":\"failing\",\"state\":\"%s\",\"reason\":\"%s\",\"seconds\":%.1f}\n", state, reason,
            (double)(now_us - since_us) / CLOCK_SECOND_US);
    return false;
}
