/* health.c - see health.h.
 *
 * Each member is an atomic of its own: an answer may pair a reason with the moment of the one before it, for as long as two stores
 * take. The text of a reason, which changes while it is told (an age, a count of tries), has a lock that the main loop never waits
 * for: if somebody reads at that very moment, the text before stays until it is told again.
 */
#include "common/health.h"

#include <string.h>

#include "common/clock.h"
#include "common/utf8.h"

/* What a turn may take at most by design: connecting, claiming and finding refused rows have deadlines of seconds. */
#define HUNG_US (60 * CLOCK_SECOND_US)

void health_init(struct health *health, const char *state, int64_t patience_us, int64_t now_us)
{
    atomic_store(&health->state, state);
    atomic_store(&health->reason, "it is starting");
    atomic_store(&health->reason_since_us, now_us);
    atomic_store(&health->waits_since_us, 0);
    atomic_store(&health->patience_us, patience_us);
    pthread_mutex_init(&health->lock, NULL);
    health->text[0] = '\0';
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
static void make_plain(char *text)
{
    for (; *text; text++)
        if (*text == '"' || *text == '\\' || (unsigned char)*text < 0x20)
            *text = '\'';
}

void health_set_reason_text(struct health *health, const char *reason, int64_t now_us)
{
    if (pthread_mutex_trylock(&health->lock) == 0) {
        utf8_copy(health->text, sizeof health->text, reason);
        make_plain(health->text);
        pthread_mutex_unlock(&health->lock);
    }
    health_set_reason(health, health->text, now_us);
}

void health_free(struct health *health)
{
    atomic_store(&health->reason, NULL);
    pthread_mutex_destroy(&health->lock);
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
    char text[HEALTH_TEXT_BYTES];
    if (reason == health->text) {
        pthread_mutex_lock(&health->lock);
        memcpy(text, health->text, sizeof text);
        pthread_mutex_unlock(&health->lock);
        reason = text;
    }
    fprintf(out, "{\"status\":\"failing\",\"state\":\"%s\",\"reason\":\"%s\",\"seconds\":%.1f}\n", state, reason,
            (double)(now_us - since_us) / CLOCK_SECOND_US);
    return false;
}
