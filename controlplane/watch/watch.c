#include "controlplane/watch/watch.h"

#include <errno.h>
#include <pthread.h>
#include <stdlib.h>
#include <time.h>

#include "controlplane/watch/watch_internal.h"

static const int64_t second_ns = INT64_C(1000000000);
/* A round reads what has arrived: often enough for the times that are configured. */
enum { ROUNDS_PER_SILENCE = 8, ROUND_MAX_S = 10 };

struct watch {
    struct watch_state *state; /* the thread's */
    const struct log *log;
    pthread_t thread;
    pthread_mutex_t mutex; /* guards the rest */
    pthread_cond_t changed;
    bool stops;
    int64_t silent_after_ns, lost_after_ns;
};

static int64_t interval_of(int64_t silent_after_ns)
{
    int64_t interval = silent_after_ns / ROUNDS_PER_SILENCE;
    return interval > ROUND_MAX_S * second_ns ? ROUND_MAX_S * second_ns : interval;
}

static void wait_for_next(struct watch *w)
{
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns =
        (int64_t)until.tv_sec * second_ns + until.tv_nsec + interval_of(w->silent_after_ns);
    until.tv_sec = (time_t)(ns / second_ns);
    until.tv_nsec = (long)(ns % second_ns);
    int waited = 0;
    while (!w->stops && waited != ETIMEDOUT) {
        waited = pthread_cond_timedwait(&w->changed, &w->mutex, &until);
    }
}

static void *run(void *context)
{
    struct watch *w = context;
    enum err before = OK;
    (void)pthread_mutex_lock(&w->mutex);
    while (!w->stops) {
        watch_state_set_times(w->state, w->silent_after_ns, w->lost_after_ns);
        (void)pthread_mutex_unlock(&w->mutex);
        enum err e = watch_state_round(w->state);
        if (e != OK && e != before) {
            log_event(w->log, LOG_ERROR, "watch_failed", log_text("error", err_name(e)));
        }
        before = e;
        (void)pthread_mutex_lock(&w->mutex);
        wait_for_next(w);
    }
    (void)pthread_mutex_unlock(&w->mutex);
    return NULL;
}

enum err watch_create(const struct watch_options *options, struct watch **out)
{
    struct watch *w = calloc(1, sizeof(*w));
    pthread_condattr_t monotonic;
    if (w == NULL) {
        return ERR_NO_MEMORY;
    }
    w->log = options->log;
    w->silent_after_ns = options->silent_after_ns;
    w->lost_after_ns = options->lost_after_ns;
    enum err e = watch_state_create(options, &w->state);
    if (e != OK) {
        free(w);
        return e;
    }
    (void)pthread_mutex_init(&w->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&w->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    if (pthread_create(&w->thread, NULL, run, w) != 0) {
        (void)pthread_cond_destroy(&w->changed);
        (void)pthread_mutex_destroy(&w->mutex);
        watch_state_destroy(w->state);
        free(w);
        return ERR_NO_MEMORY;
    }
    *out = w;
    return OK;
}

void watch_destroy(struct watch *watch)
{
    if (watch != NULL) {
        (void)pthread_mutex_lock(&watch->mutex);
        watch->stops = true;
        (void)pthread_cond_broadcast(&watch->changed);
        (void)pthread_mutex_unlock(&watch->mutex);
        watch_state_stop(watch->state);
        (void)pthread_join(watch->thread, NULL);
        (void)pthread_cond_destroy(&watch->changed);
        (void)pthread_mutex_destroy(&watch->mutex);
        watch_state_destroy(watch->state);
        free(watch);
    }
}

void watch_set_times(struct watch *watch, int64_t silent_after_ns, int64_t lost_after_ns)
{
    (void)pthread_mutex_lock(&watch->mutex);
    watch->silent_after_ns = silent_after_ns;
    watch->lost_after_ns = lost_after_ns;
    (void)pthread_mutex_unlock(&watch->mutex);
}
