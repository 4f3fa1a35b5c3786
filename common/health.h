/* health.h - whether a program makes progress, as its main loop tells and others may ask at any moment.
 *
 * The main thread says what it knows; whoever asks adds what only an outsider can see: that the main loop has stopped turning, or
 * that work has been waiting for too long. Texts are static where it is not said otherwise. Asking is for any thread, the rest for
 * the main one.
 */
#ifndef TALLYMILL_COMMON_HEALTH_H
#define TALLYMILL_COMMON_HEALTH_H

#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

enum { HEALTH_TEXT_BYTES = 640 };

struct health {
    _Atomic(const char *) state;  /* "leading" */
    _Atomic(const char *) reason; /* NULL: nothing is wrong */
    _Atomic int64_t reason_since_us, waits_since_us;
    _Atomic int64_t patience_us; /* how long work may wait */
    pthread_mutex_t lock;        /* of text, which reason may point to */
    char text[HEALTH_TEXT_BYTES];
};

/* Until health_set_reason(), the reason is that it is starting. now_us is monotonic, here and below. */
void health_init(struct health *health, const char *state, int64_t patience_us, int64_t now_us);

void health_set_state(struct health *health, const char *state);
void health_set_patience(struct health *health, int64_t patience_us);
void health_set_reason(struct health *health, const char *reason, int64_t now_us); /* NULL: nothing is wrong */

/* The same with a text that need not last (cut at HEALTH_TEXT_BYTES). One that follows another tells the same trouble anew: its
 * seconds go on. */
void health_set_reason_text(struct health *health, const char *reason, int64_t now_us);
void health_free(struct health *health);

/* Whether there is work that waits. `moved`: some of it was done just now. */
void health_set_work(struct health *health, bool waits, bool moved, int64_t now_us);

/* Writes {"status":"ok","state":...} or {"status":"failing","state":...,"reason":...,"seconds":...}. Whether all is
 * well. turned_us: when the main loop last turned (service_turned_us()), 0: it has not begun. */
bool health_write(struct health *health, FILE *out, int64_t turned_us, int64_t now_us);

#endif
