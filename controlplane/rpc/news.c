#include "controlplane/rpc/news.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/ca/ca.h"

struct item {
    char sidecar[CA_ID_SIZE];
    char state[NEWS_STATE_SIZE];
    struct store_sidecar_news news; /* points to the two above */
};

struct batch {
    struct item items[NEWS_WAITING_MAX];
    size_t count;
};

struct news {
    struct store *store;
    const struct log *log;
    pthread_t thread;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct batch *waiting, *writing; /* owned; `waiting` guarded, `writing` the thread's own */
    struct store_sidecar_news *list; /* owned; the thread's own */
    uint64_t added, written;         /* guarded: how many ever */
    bool closing;                    /* guarded */
};

/* On the thread, without the mutex. */
static void write_batch(struct news *n)
{
    struct batch *b = n->writing;
    for (size_t i = 0; i < b->count; i++) {
        n->list[i] = b->items[i].news;
    }
    enum err e = store_sidecar_news(n->store, n->list, b->count);
    if (e != OK) {
        log_event(n->log, LOG_ERROR, "store_failed", log_text("at", "sidecar_news"),
                  log_text("error", err_name(e)));
    }
}

static void *run(void *context)
{
    struct news *n = context;
    (void)pthread_mutex_lock(&n->mutex);
    for (;;) {
        while (n->waiting->count == 0 && !n->closing) {
            (void)pthread_cond_wait(&n->changed, &n->mutex);
        }
        if (n->waiting->count == 0) {
            break;
        }
        struct batch *taken = n->waiting;
        n->waiting = n->writing;
        n->writing = taken;
        n->waiting->count = 0;
        (void)pthread_cond_broadcast(&n->changed); /* there is room again */
        (void)pthread_mutex_unlock(&n->mutex);
        write_batch(n);
        (void)pthread_mutex_lock(&n->mutex);
        n->written += taken->count;
        (void)pthread_cond_broadcast(&n->changed);
    }
    (void)pthread_mutex_unlock(&n->mutex);
    return NULL;
}

void news_add(struct news *n, const struct store_sidecar_news *one)
{
    (void)pthread_mutex_lock(&n->mutex);
    while (n->waiting->count == NEWS_WAITING_MAX) {
        (void)pthread_cond_wait(&n->changed, &n->mutex);
    }
    struct item *item = &n->waiting->items[n->waiting->count++];
    item->news = *one;
    (void)snprintf(item->sidecar, sizeof(item->sidecar), "%s", one->sidecar);
    item->news.sidecar = item->sidecar;
    if (one->policy_state != NULL) {
        (void)snprintf(item->state, sizeof(item->state), "%s", one->policy_state);
        item->news.policy_state = item->state;
    }
    n->added++;
    (void)pthread_cond_broadcast(&n->changed);
    (void)pthread_mutex_unlock(&n->mutex);
}

void news_flush(struct news *n)
{
    (void)pthread_mutex_lock(&n->mutex);
    for (uint64_t all = n->added; n->written < all;) {
        (void)pthread_cond_wait(&n->changed, &n->mutex);
    }
    (void)pthread_mutex_unlock(&n->mutex);
}

static void free_all(struct news *n)
{
    (void)pthread_cond_destroy(&n->changed);
    (void)pthread_mutex_destroy(&n->mutex);
    free(n->waiting);
    free(n->writing);
    free(n->list);
    free(n);
}

enum err news_create(struct store *store, const struct log *log, struct news **out)
{
    struct news *n = calloc(1, sizeof(*n));
    if (n == NULL) {
        return ERR_NO_MEMORY;
    }
    n->store = store;
    n->log = log;
    (void)pthread_mutex_init(&n->mutex, NULL);
    (void)pthread_cond_init(&n->changed, NULL);
    n->waiting = calloc(1, sizeof(*n->waiting));
    n->writing = calloc(1, sizeof(*n->writing));
    n->list = calloc(NEWS_WAITING_MAX, sizeof(*n->list));
    if (n->waiting == NULL || n->writing == NULL || n->list == NULL ||
        pthread_create(&n->thread, NULL, run, n) != 0) {
        free_all(n);
        return ERR_NO_MEMORY;
    }
    *out = n;
    return OK;
}

void news_destroy(struct news *n)
{
    if (n != NULL) {
        (void)pthread_mutex_lock(&n->mutex);
        n->closing = true;
        (void)pthread_cond_broadcast(&n->changed);
        (void)pthread_mutex_unlock(&n->mutex);
        (void)pthread_join(n->thread, NULL);
        free_all(n);
    }
}
