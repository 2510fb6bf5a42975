#include "sidecar/control/uplink.h"

#include <signal.h>
#include <stdlib.h>
#include <time.h>

#include "sidecar/control/uplink_internal.h"

enum { UPLINK_FIRST_MS = 200, UPLINK_MOST_MS = 5000, UPLINK_LONG_MS = 10000 };

void uplink_wait(struct uplink *u, int ms)
{
    if (ms < 0) {
        (void)pthread_cond_wait(&u->wake, &u->lock);
        return;
    }
    struct timespec until;
    (void)clock_gettime(CLOCK_MONOTONIC, &until);
    int64_t ns = until.tv_nsec + (int64_t)ms * 1000000;
    until.tv_sec += ns / 1000000000;
    until.tv_nsec = ns % 1000000000;
    (void)pthread_cond_timedwait(&u->wake, &u->lock, &until);
}

int64_t uplink_now_ms(void)
{
    struct timespec now;
    (void)clock_gettime(CLOCK_MONOTONIC, &now);
    return (int64_t)now.tv_sec * 1000 + now.tv_nsec / 1000000;
}

/* The tunnel to use, retained; NULL: stop. */
static struct tunnel *wait_for_tunnel(struct uplink *u, unsigned *out_generation)
{
    struct tunnel *tunnel = NULL;
    (void)pthread_mutex_lock(&u->lock);
    while (!u->stop && u->tunnel == NULL) {
        uplink_wait(u, -1);
    }
    if (!u->stop) {
        tunnel = tunnel_retain(u->tunnel);
        *out_generation = u->generation;
    }
    (void)pthread_mutex_unlock(&u->lock);
    return tunnel;
}

static void pause_before_next(struct uplink *u, struct backoff *backoff, unsigned generation)
{
    int64_t until = uplink_now_ms() + backoff_next_ms(backoff);
    (void)pthread_mutex_lock(&u->lock);
    for (int64_t rest = until - uplink_now_ms(); !uplink_is_over(u, generation) && rest > 0;
         rest = until - uplink_now_ms()) {
        uplink_wait(u, (int)rest);
    }
    (void)pthread_mutex_unlock(&u->lock);
}

static void *run(void *context)
{
    struct uplink *u = context;
    struct backoff backoff = {.first_ms = UPLINK_FIRST_MS, .most_ms = UPLINK_MOST_MS};
    unsigned generation = 0;
    struct tunnel *tunnel;
    while ((tunnel = wait_for_tunnel(u, &generation)) != NULL) {
        uint64_t sequence = 0;
        int64_t started = uplink_now_ms();
        if (uplink_resume(u, tunnel, generation, &sequence)) {
            uplink_ship(u, tunnel, generation, sequence);
        }
        tunnel_release(tunnel);
        if (uplink_now_ms() - started > UPLINK_LONG_MS) {
            backoff_reset(&backoff);
        }
        pause_before_next(u, &backoff, generation);
    }
    return NULL;
}

/* On the loop's thread. */
static void on_notice(void *context)
{
    struct uplink *u = context;
    (void)pthread_mutex_lock(&u->lock);
    u->noticed = true;
    (void)pthread_cond_signal(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
}

static void uplink_free(struct uplink *u)
{
    tunnel_release(u->tunnel);
    mail_close(u->mail);
    (void)pthread_cond_destroy(&u->wake);
    (void)pthread_mutex_destroy(&u->lock);
    free(u);
}

enum err uplink_create(struct loop *loop, struct recorder *recorder, const struct log *log,
                       struct uplink **out)
{
    struct uplink *u = calloc(1, sizeof(*u));
    if (u == NULL) {
        return ERR_NO_MEMORY;
    }
    u->recorder = recorder;
    u->log = log;
    pthread_condattr_t monotonic;
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_mutex_init(&u->lock, NULL);
    (void)pthread_cond_init(&u->wake, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    u->mail = mail_create(loop, u);
    sigset_t all;
    sigset_t before;
    (void)sigfillset(&all); /* signals belong to the loop's thread */
    (void)pthread_sigmask(SIG_BLOCK, &all, &before);
    bool is_started = u->mail != NULL && pthread_create(&u->thread, NULL, run, u) == 0;
    (void)pthread_sigmask(SIG_SETMASK, &before, NULL);
    if (!is_started) {
        uplink_free(u);
        return ERR_NO_MEMORY;
    }
    recorder_on_notice(recorder, on_notice, u);
    *out = u;
    return OK;
}

void uplink_use(struct uplink *u, struct tunnel *tunnel)
{
    (void)pthread_mutex_lock(&u->lock);
    struct tunnel *before = u->tunnel;
    u->tunnel = tunnel == NULL ? NULL : tunnel_retain(tunnel);
    u->generation++;
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
    tunnel_release(before);
}

void uplink_stop(struct uplink *u)
{
    if (u == NULL) {
        return;
    }
    recorder_on_notice(u->recorder, NULL, NULL);
    (void)pthread_mutex_lock(&u->lock);
    u->stop = true;
    (void)pthread_cond_broadcast(&u->wake);
    (void)pthread_mutex_unlock(&u->lock);
    (void)pthread_join(u->thread, NULL);
    uplink_free(u);
}

bool uplink_is_shipping(struct uplink *u)
{
    (void)pthread_mutex_lock(&u->lock);
    bool shipping = u->shipping;
    (void)pthread_mutex_unlock(&u->lock);
    return shipping;
}

bool uplink_has_diverged(struct uplink *u)
{
    (void)pthread_mutex_lock(&u->lock);
    bool diverged = u->diverged;
    (void)pthread_mutex_unlock(&u->lock);
    return diverged;
}
