#include "controlplane/audit/arrivals.h"

#include <pthread.h>
#include <stdlib.h>

#include "controlplane/audit/arrivals_sessions.h"

enum {
    RUNS_MAX = 1024,
    /* A shorter run is read with what is around it sooner than it is passed over. */
    RUN_SIZE_MIN = 16,
};

/* Positions without a record of the kinds that are noted. */
struct run {
    uint64_t first, last;
};

struct arrivals {
    pthread_mutex_t mutex; /* guards the rest */
    struct run runs[RUNS_MAX];
    size_t count; /* in order, none touches the next */
    struct arrivals_sessions *sessions;
};

struct arrivals *arrivals_create(void)
{
    struct arrivals *a = calloc(1, sizeof(*a));
    if (a == NULL) {
        return NULL;
    }
    a->sessions = arrivals_sessions_create();
    if (a->sessions == NULL) {
        free(a);
        return NULL;
    }
    (void)pthread_mutex_init(&a->mutex, NULL);
    return a;
}

void arrivals_destroy(struct arrivals *arrivals)
{
    if (arrivals != NULL) {
        arrivals_sessions_destroy(arrivals->sessions);
        (void)pthread_mutex_destroy(&arrivals->mutex);
        free(arrivals);
    }
}

uint32_t arrivals_noted_kinds(void)
{
    return store_kind_bit(STORE_SESSION_OPENED) | store_kind_bit(STORE_SESSION_CLOSED) |
           store_kind_bit(STORE_HEARTBEAT) | store_kind_bit(STORE_LOSS);
}

static void runs_remove(struct arrivals *a, size_t at)
{
    a->count--;
    memmove(&a->runs[at], &a->runs[at + 1], (a->count - at) * sizeof(a->runs[0]));
}

/* Batches are committed one after the other, and may be told in another order. */
static void runs_add(struct arrivals *a, uint64_t first, uint64_t last)
{
    size_t at = a->count;
    if (last - first + 1 < RUN_SIZE_MIN) {
        return;
    }
    while (at > 0 && a->runs[at - 1].first > first) {
        at--;
    }
    bool follows = at > 0 && a->runs[at - 1].last + 1 == first;
    bool leads = at < a->count && a->runs[at].first == last + 1;
    if (follows) {
        a->runs[at - 1].last = leads ? a->runs[at].last : last;
        if (leads) {
            runs_remove(a, at);
        }
        return;
    }
    if (leads) {
        a->runs[at].first = first;
        return;
    }
    if (a->count == RUNS_MAX) { /* nobody watches here; the oldest is what is passed first */
        runs_remove(a, 0);
        at = at == 0 ? 0 : at - 1;
    }
    memmove(&a->runs[at + 1], &a->runs[at], (a->count - at) * sizeof(a->runs[0]));
    a->runs[at] = (struct run){.first = first, .last = last};
    a->count++;
}

void arrivals_add(struct arrivals *arrivals, const char *sidecar, const struct arrival *items,
                  size_t count, uint64_t first_position)
{
    const uint32_t noted = arrivals_noted_kinds();
    size_t began = 0;
    (void)pthread_mutex_lock(&arrivals->mutex);
    for (size_t i = 0; i <= count; i++) {
        if (i == count || (store_kind_bit(items[i].record->index.kind) & noted) != 0) {
            if (i > began) {
                runs_add(arrivals, first_position + began, first_position + i - 1);
            }
            began = i + 1;
        }
    }
    arrivals_sessions_add(arrivals->sessions, sidecar, items, count);
    (void)pthread_mutex_unlock(&arrivals->mutex);
}

uint64_t arrivals_pass(struct arrivals *arrivals, uint64_t after, uint64_t *out_until)
{
    size_t passed = 0;
    (void)pthread_mutex_lock(&arrivals->mutex);
    while (passed < arrivals->count && arrivals->runs[passed].first <= after + 1) {
        uint64_t last = arrivals->runs[passed].last;
        after = last > after ? last : after;
        passed++;
    }
    arrivals->count -= passed;
    memmove(&arrivals->runs[0], &arrivals->runs[passed],
            arrivals->count * sizeof(arrivals->runs[0]));
    *out_until = arrivals->count == 0 ? 0 : arrivals->runs[0].first - 1;
    (void)pthread_mutex_unlock(&arrivals->mutex);
    return after;
}

bool arrivals_take_whole(struct arrivals *arrivals, const char *sidecar, const char *session)
{
    (void)pthread_mutex_lock(&arrivals->mutex);
    bool is_whole = arrivals_sessions_take_whole(arrivals->sessions, sidecar, session);
    (void)pthread_mutex_unlock(&arrivals->mutex);
    return is_whole;
}
