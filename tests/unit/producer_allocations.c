/* producer_allocations.c - building and publishing events allocates nothing in the application's thread, once it has begun.
 *
 * A plain program, because it counts malloc and its kin by thread; under a sanitizer, which has an allocator of its own, it only
 * runs.
 */
#include <stdio.h>
#include <stdlib.h>

#include <tallymill/producer.h>

#if defined __SANITIZE_ADDRESS__ || defined __SANITIZE_THREAD__ /* gcc */
#define IS_SANITIZED 1
#elif defined __has_feature
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer) /* clang */
#define IS_SANITIZED 1
#endif
#endif

enum { EVENTS = 20000 };

static _Thread_local unsigned long allocations;

#ifndef IS_SANITIZED
extern void *__libc_malloc(size_t), *__libc_calloc(size_t, size_t), *__libc_realloc(void *, size_t);

void *malloc(size_t size)
{
    allocations++;
    return __libc_malloc(size);
}

void *calloc(size_t count, size_t size)
{
    allocations++;
    return __libc_calloc(count, size);
}

void *realloc(void *old, size_t size)
{
    allocations++;
    return __libc_realloc(old, size);
}
#endif

static void build(struct tally_event *event, int number)
{
    tally_event_begin(event, number % 2 == 0 ? "code_input" : "no_such_event");
    if (number % 3 != 0)
        tally_event_session(event, "a session");
    tally_event_user(event, number);
    tally_event_text(event, "language", "python");
    tally_event_map(event, "nested");
    tally_event_array(event, "list");
    for (int i = 0; i < number % 20; i++)
        tally_event_int(event, NULL, i);
    tally_event_end(event);
    tally_event_end(event);
}

int main(void)
{
    struct tally_setting settings[] = {{"kafka.bootstrap.servers", "ignored:1"},
                                       {"kafka.test.mock.num.brokers", "1"},
                                       {"kafka.allow.auto.create.topics", "true"},
                                       {"publish.timeout.ms", "1000"},
                                       {NULL, NULL}};
    struct tally_error err;
    struct tally_producer *producer = tally_open(settings, NULL, &err);
    struct tally_event *event = tally_event_new();
    unsigned long before = 0;
    for (int i = 0; i < EVENTS; i++) {
        build(event, i);
        while (tally_publish(producer, event, &err) == TALLY_FULL) {
        }
        if (i == 0)
            before = allocations;
    }
    unsigned long made = allocations - before;
    int is_delivered = tally_close(producer, 60000, NULL);
    tally_event_free(event);
    printf("%lu allocations in %d events\n", made, EVENTS - 1);
    return made == 0 && is_delivered ? 0 : 1;
}
