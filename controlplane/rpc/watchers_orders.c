/* Orders to sidecars, and the wait for their answers. */
#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "controlplane/rpc/watchers_internal.h"

enum { SESSIONS_MAX = 1 << 20 }; /* of one answer: a sidecar cannot make us keep more */

/* One sidecar's answer. Lives as long as watchers_order waits. */
struct awaited {
    struct awaited *next;
    const char *order;
    struct watcher *watcher;
    struct watchers_answer *answer;
    size_t *left; /* how many of the order are still awaited */
    bool ended;
};

/* --- giving ------------------------------------------------------------------------------------
 */

static char *text_of(const char *s)
{
    return (char *)(uintptr_t)(s == NULL ? "" : s);
}

static enum err send_order(struct watcher *w, const struct watchers_order *order)
{
    Chaperone__V1__KillSession message = CHAPERONE__V1__KILL_SESSION__INIT;
    Chaperone__V1__WatchResponse push = CHAPERONE__V1__WATCH_RESPONSE__INIT;
    message.order = text_of(order->id);
    message.session = text_of(order->session);
    message.identity = text_of(order->identity);
    message.resource = text_of(order->resource);
    message.all = order->all;
    message.ordered_by = text_of(order->ordered_by);
    message.reason = text_of(order->reason);
    message.ordered_unix_ns = order->ordered_ns;
    push.push_case = CHAPERONE__V1__WATCH_RESPONSE__PUSH_KILL;
    push.kill = &message;
    return rpc_stream_send(w->stream, &push.base);
}

enum err watchers_repeat_order(struct watcher *watcher, const struct watchers_order *order)
{
    struct watchers *all = watcher->all;
    (void)pthread_mutex_lock(&all->mutex);
    enum err e = send_order(watcher, order);
    (void)pthread_mutex_unlock(&all->mutex);
    return e;
}

/* --- answers -----------------------------------------------------------------------------------
 */

/* With the mutex held. The first end counts. */
static void end_wait(struct awaited *a, enum err result, const char *why)
{
    if (!a->ended) {
        a->ended = true;
        a->answer->result = err_set(&a->answer->why, result, "%s", why);
        (*a->left)--;
    }
}

void watchers_lose_orders(struct watcher *watcher)
{
    for (struct awaited *a = watcher->all->awaited; a != NULL; a = a->next) {
        if (a->watcher == watcher) {
            end_wait(a, ERR_CLOSED, "the sidecar went away before it confirmed");
        }
    }
    (void)pthread_cond_broadcast(&watcher->all->answered);
}

/* What is no id is left out: the list goes to terminals and into records. */
char (*watchers_sessions_of(const Chaperone__V1__OrderDone *done,
                            size_t *out_count))[UUID_TEXT_SIZE]
{
    char(*ids)[UUID_TEXT_SIZE] = NULL;
    size_t count = 0;
    if (done->n_sessions > 0 && done->n_sessions <= SESSIONS_MAX) {
        ids = calloc(done->n_sessions, sizeof(*ids));
    }
    for (size_t i = 0; ids != NULL && i < done->n_sessions; i++) {
        const char *id = done->sessions[i];
        if (strlen(id) == UUID_TEXT_SIZE - 1 &&
            strspn(id, "0123456789abcdef-") == UUID_TEXT_SIZE - 1) {
            memcpy(ids[count++], id, UUID_TEXT_SIZE);
        }
    }
    *out_count = count;
    return ids;
}

bool watchers_order_done(struct watcher *watcher, const Chaperone__V1__OrderDone *done)
{
    struct watchers *all = watcher->all;
    char why[400];
    bool is_awaited = false;
    (void)snprintf(why, sizeof(why), "%s", done->error);
    for (char *c = why; *c != '\0'; c++) {
        /* It goes into a record, which is to be valid text whatever a sidecar says. */
        *c = *c >= ' ' && *c <= '~' ? *c : '?';
    }
    (void)pthread_mutex_lock(&all->mutex);
    for (struct awaited *a = all->awaited; a != NULL; a = a->next) {
        if (a->watcher == watcher && !a->ended && strcmp(a->order, done->order) == 0) {
            a->answer->sessions = watchers_sessions_of(done, &a->answer->session_count);
            end_wait(a, why[0] == '\0' ? OK : ERR_INVALID, why);
            is_awaited = true;
        }
    }
    (void)pthread_cond_broadcast(&all->answered);
    (void)pthread_mutex_unlock(&all->mutex);
    return is_awaited;
}

/* --- waiting -----------------------------------------------------------------------------------
 */

static struct timespec deadline_after(int64_t timeout_ns)
{
    struct timespec t = {0};
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    int64_t ns = t.tv_nsec + timeout_ns % 1000000000;
    t.tv_sec += (time_t)(timeout_ns / 1000000000 + ns / 1000000000);
    t.tv_nsec = ns % 1000000000;
    return t;
}

/* All with the mutex held from here on. A sidecar that reconnects may have two: the newest counts.
 */
static bool is_newest(struct watcher *w)
{
    return watchers_find(w->all, w->sidecar) == w;
}

void watchers_give_order(struct watchers *watchers, const char *sidecar,
                         const struct watchers_order *order)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    for (struct watcher *w = watchers->first; w != NULL; w = w->next) {
        bool is_meant = is_newest(w) && (sidecar == NULL || strcmp(w->sidecar, sidecar) == 0);
        enum err e = is_meant ? send_order(w, order) : OK;
        if (e != OK) {
            log_event(watchers->with.log, LOG_WARN, "order_not_sent",
                      log_text("sidecar", w->sidecar), log_text("order", order->id),
                      log_text("error", err_name(e)));
        }
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
}

static size_t count_meant(struct watchers *watchers, const char *sidecar)
{
    size_t count = 0;
    if (sidecar != NULL) {
        return 1;
    }
    for (struct watcher *w = watchers->first; w != NULL; w = w->next) {
        count++;
    }
    return count;
}

static void give(struct watchers *watchers, struct watcher *w, const struct watchers_order *order,
                 struct awaited *a)
{
    (void)snprintf(a->answer->sidecar, sizeof(a->answer->sidecar), "%s", w->sidecar);
    a->order = order->id;
    a->watcher = w;
    a->next = watchers->awaited;
    watchers->awaited = a;
    (*a->left)++;
    if (send_order(w, order) != OK) {
        end_wait(a, ERR_UNAVAILABLE, "the order could not be sent to the sidecar");
    }
}

static void forget(struct watchers *watchers, const char *order)
{
    struct awaited **link = &watchers->awaited;
    while (*link != NULL) {
        if ((*link)->order == order) {
            *link = (*link)->next;
        } else {
            link = &(*link)->next;
        }
    }
}

static void give_and_wait(struct watchers *watchers, const char *sidecar,
                          const struct watchers_order *order, int64_t timeout_ns,
                          struct awaited *awaited, struct watchers_answers *out)
{
    const struct timespec deadline = deadline_after(timeout_ns > 0 ? timeout_ns : 0);
    size_t left = 0;
    for (struct watcher *w = watchers->first; w != NULL; w = w->next) {
        if (is_newest(w) && (sidecar == NULL || strcmp(w->sidecar, sidecar) == 0)) {
            struct awaited *a = &awaited[out->count];
            *a = (struct awaited){.answer = &out->items[out->count], .left = &left};
            out->count++;
            give(watchers, w, order, a);
        }
    }
    int rc = 0;
    while (left > 0 && rc != ETIMEDOUT) {
        rc = pthread_cond_timedwait(&watchers->answered, &watchers->mutex, &deadline);
    }
    for (size_t i = 0; i < out->count; i++) {
        end_wait(&awaited[i], ERR_TIMEOUT, "the sidecar did not confirm in time");
    }
    forget(watchers, order->id);
}

enum err watchers_order(struct watchers *watchers, const char *sidecar,
                        const struct watchers_order *order, int64_t timeout_ns,
                        struct watchers_answers *out)
{
    (void)pthread_mutex_lock(&watchers->mutex);
    size_t most = count_meant(watchers, sidecar);
    struct watchers_answers answers = {.items = calloc(most + 1, sizeof(*answers.items))};
    struct awaited *awaited = calloc(most + 1, sizeof(*awaited));
    if (answers.items != NULL && awaited != NULL) {
        give_and_wait(watchers, sidecar, order, timeout_ns, awaited, &answers);
    }
    (void)pthread_mutex_unlock(&watchers->mutex);
    if (answers.items == NULL || awaited == NULL) {
        free(answers.items);
        free(awaited);
        return ERR_NO_MEMORY;
    }
    free(awaited);
    if (sidecar != NULL && answers.count == 0) {
        struct watchers_answer *only = &answers.items[answers.count++];
        (void)snprintf(only->sidecar, sizeof(only->sidecar), "%s", sidecar);
        only->result =
            err_set(&only->why, ERR_UNAVAILABLE, "the session's sidecar is not connected");
    }
    *out = answers;
    return OK;
}

void watchers_answers_finish(struct watchers_answers *answers)
{
    for (size_t i = 0; i < answers->count; i++) {
        free(answers->items[i].sessions);
    }
    free(answers->items);
    *answers = (struct watchers_answers){0};
}
