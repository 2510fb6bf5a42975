#include "controlplane/audit/tail.h"

#include <pthread.h>
#include <stdlib.h>

struct audit_tail {
    struct store *store;
    struct audit_subscription *subscription;
    Chaperone__V1__SearchRequest *request; /* owned */
    struct audit_tail_events events;
    void *context;
    pthread_t thread;

    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t arrived; /* the newest position that was told */
    bool cancelled;
};

static void on_arrived(void *context, uint64_t position)
{
    struct audit_tail *t = context;
    (void)pthread_mutex_lock(&t->mutex);
    if (position > t->arrived) {
        t->arrived = position;
        (void)pthread_cond_signal(&t->changed);
    }
    (void)pthread_mutex_unlock(&t->mutex);
}

/* Between the search and the callback: a cancelled tail delivers nothing more. */
static bool on_entries(void *context, const Chaperone__V1__SearchResponse *response)
{
    struct audit_tail *t = context;
    (void)pthread_mutex_lock(&t->mutex);
    bool cancelled = t->cancelled;
    (void)pthread_mutex_unlock(&t->mutex);
    if (!cancelled && !t->events.on_entries(t->context, response)) {
        audit_tail_cancel(t);
        cancelled = true;
    }
    return !cancelled;
}

/* Waits for records beyond `position`; false: cancelled. */
static bool wait_for_more(struct audit_tail *t, uint64_t position)
{
    (void)pthread_mutex_lock(&t->mutex);
    while (!t->cancelled && t->arrived <= position) {
        (void)pthread_cond_wait(&t->changed, &t->mutex);
    }
    bool go_on = !t->cancelled;
    (void)pthread_mutex_unlock(&t->mutex);
    return go_on;
}

/* The subscription is older than the search: what arrives during it is told, and followed. */
static void *tail_main(void *argument)
{
    struct audit_tail *t = argument;
    struct err_text why = {.text = ""};
    uint64_t position = 0;
    enum err err = audit_search_run(t->store, t->request, on_entries, t, &position, &why);
    while (err == OK && wait_for_more(t, position)) {
        err = audit_search_follow(t->store, t->request, on_entries, t, &position, &why);
    }
    t->events.on_end(t->context, err, &why);
    return NULL;
}

static Chaperone__V1__SearchRequest *request_copy(const Chaperone__V1__SearchRequest *request)
{
    size_t size = chaperone__v1__search_request__get_packed_size(request);
    uint8_t *packed = malloc(size + 1);
    if (packed == NULL) {
        return NULL;
    }
    (void)chaperone__v1__search_request__pack(request, packed);
    Chaperone__V1__SearchRequest *copy = chaperone__v1__search_request__unpack(NULL, size, packed);
    free(packed);
    return copy;
}

static void tail_free(struct audit_tail *t)
{
    audit_unsubscribe(t->subscription);
    if (t->request != NULL) {
        chaperone__v1__search_request__free_unpacked(t->request, NULL);
    }
    (void)pthread_cond_destroy(&t->changed);
    (void)pthread_mutex_destroy(&t->mutex);
    free(t);
}

enum err audit_tail_start(struct store *store, struct audit_feed *feed,
                          const Chaperone__V1__SearchRequest *request,
                          const struct audit_tail_events *events, void *context,
                          struct audit_tail **out)
{
    struct audit_tail *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return ERR_NO_MEMORY;
    }
    t->store = store;
    t->events = *events;
    t->context = context;
    (void)pthread_mutex_init(&t->mutex, NULL);
    (void)pthread_cond_init(&t->changed, NULL);
    t->request = request_copy(request);
    enum err err = t->request == NULL ? ERR_NO_MEMORY : OK;
    if (err == OK) {
        err = audit_subscribe(feed, on_arrived, t, &t->subscription);
    }
    if (err == OK && pthread_create(&t->thread, NULL, tail_main, t) != 0) {
        err = ERR_UNAVAILABLE;
    }
    if (err != OK) {
        tail_free(t);
        return err;
    }
    *out = t;
    return OK;
}

void audit_tail_cancel(struct audit_tail *tail)
{
    (void)pthread_mutex_lock(&tail->mutex);
    tail->cancelled = true;
    (void)pthread_cond_signal(&tail->changed);
    (void)pthread_mutex_unlock(&tail->mutex);
}

void audit_tail_stop(struct audit_tail *tail)
{
    if (tail != NULL) {
        audit_tail_cancel(tail);
        (void)pthread_join(tail->thread, NULL);
        tail_free(tail);
    }
}
