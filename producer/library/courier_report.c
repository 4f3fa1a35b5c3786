/* courier_report.c - how the application learns what happened: its hooks are called at once, in whatever thread knows it, or, where
 * it polls (hooks.is_polled), in its own.
 *
 * Invariant: an event is counted as acknowledged or failed after its hook has returned, so a flush that sees the number knows that
 * the application has seen the event.
 */
#include "producer/library/courier.h"
#include "producer/library/courier_struct.h"

/* The courier whose hook this thread is in. */
static _Thread_local const struct courier *inside;

bool courier_is_inside(const struct courier *courier)
{
    return inside == courier;
}

static void call_delivered(struct courier *courier, const struct tally_delivery *delivery)
{
    const struct courier *before = inside;
    inside = courier;
    courier->hooks.delivered(courier->hooks.context, delivery);
    inside = before;
}

static void call_log(void *context, int level, const char *text)
{
    const struct courier *courier = context, *before = inside;
    if (courier->hooks.log == NULL || atomic_load(&courier->is_mute))
        return;
    inside = courier;
    courier->hooks.log(courier->hooks.context, level, text);
    inside = before;
}

static void count(struct courier *courier, const struct tally_delivery *delivery)
{
    if (delivery->fate != TALLY_DROPPED) /* those are counted together, with others that cannot be read */
        atomic_fetch_add(delivery->error == NULL ? &courier->acknowledged : &courier->failed, 1);
}

/* False: it is kept, and counted when it is told. */
static bool is_told(struct courier *courier, const struct tally_delivery *delivery)
{
    if (courier->hooks.delivered == NULL || atomic_load(&courier->is_mute))
        return true;
    if (courier->reports == NULL) {
        call_delivered(courier, delivery);
        return true;
    }
    if (reports_put_delivery(courier->reports, delivery))
        return false;
    courier_log(courier, 2, "no memory to keep what became of an event until it is polled: it is only counted");
    return true;
}

void courier_tell_fate(struct courier *courier, const struct tally_delivery *delivery)
{
    if (is_told(courier, delivery))
        count(courier, delivery);
    else if (courier_must_hold(courier) && courier->channel != NULL)
        channel_yield(courier->channel);
}

void courier_tell_dropped(struct courier *courier, const struct tally_delivery *delivery)
{
    is_told(courier, delivery);
}

void courier_log(void *context, int level, const char *text)
{
    struct courier *courier = context;
    if (courier->reports == NULL)
        call_log(courier, level, text);
    else if (courier->hooks.log != NULL)
        reports_put_log(courier->reports, level, text);
}

void courier_warn(struct courier *courier, const char *text)
{
    courier_log(courier, 4, text);
}

static void call_token(void *context, const char *config)
{
    struct courier *courier = context;
    const struct courier *before = inside;
    if (atomic_load(&courier->is_mute))
        return;
    inside = courier;
    courier->hooks.token(courier->hooks.context, courier->producer, config);
    inside = before;
}

void courier_ask_token(void *context, const char *config)
{
    struct courier *courier = context;
    if (courier->reports == NULL)
        call_token(courier, config);
    else
        reports_put_token(courier->reports, config);
}

/* At the end everything is told. */
bool courier_must_hold(const struct courier *courier)
{
    return courier->reports != NULL && reports_is_full(courier->reports) && !atomic_load(&courier->is_stopping);
}

/* -- In the thread that polls ---------------------------------------------------------------------------------------------------
 */

static void on_polled(void *context, const struct tally_delivery *delivery)
{
    struct courier *courier = context;
    call_delivered(courier, delivery);
    count(courier, delivery);
}

static struct reports_listener listener_of(struct courier *courier)
{
    return (struct reports_listener){.delivered = on_polled, .log = call_log, .token = call_token, .context = courier};
}

int courier_poll(struct courier *courier)
{
    if (courier->reports == NULL || courier_is_inside(courier))
        return 0;
    struct reports_listener listener = listener_of(courier);
    bool was_full = reports_is_full(courier->reports);
    int told = reports_run(courier->reports, &listener);
    if (was_full && atomic_load(&courier->is_dozing) && atomic_exchange(&courier->is_dozing, false))
        sem_post(&courier->bell);
    return told;
}

int courier_poll_fd(const struct courier *courier)
{
    return courier->reports == NULL ? -1 : reports_fd(courier->reports);
}

void courier_poll_all(struct courier *courier)
{
    if (courier->reports == NULL)
        return;
    struct reports_listener listener = listener_of(courier);
    reports_run_all(courier->reports, &listener);
}
