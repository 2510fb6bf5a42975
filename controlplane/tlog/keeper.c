#include "controlplane/tlog/keeper_internal.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>
#include <unistd.h>

#include "controlplane/files/files.h"

enum { ARENA_BLOCK = 64 << 10, ARENA_CAP = 16 << 20 };

/* --- life --------------------------------------------------------------------------------------
 */

static enum err open_parts(struct keeper *k, struct err_text *why)
{
    const struct log_keys_options keys = {.data = k->with.data,
                                          .origin = k->with.origin,
                                          .fallback = k->with.fallback,
                                          .overlap_ns = k->with.key_overlap_ns,
                                          .clock = k->with.clock};
    char *path = files_join(k->with.data, "log");
    k->signed_path = files_join(k->with.data, "log.signed");
    k->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = path == NULL || k->signed_path == NULL || k->arena == NULL ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        e = log_keys_lock(k->with.data, &k->lock_fd, why);
    }
    if (e == OK) {
        e = log_keys_open(&keys, &k->keys, why);
    }
    if (e == OK) {
        const struct tile_directory_options options = {
            .path = path, .on_step = k->with.on_step, .step_context = k->with.step_context};
        e = tile_directory_open(&options, &k->directory, why);
    }
    free(path);
    return e;
}

enum err keeper_create(const struct keeper_options *options, struct keeper **out,
                       struct err_text *why)
{
    if (options->witness_count > KEEPER_WITNESSES_MAX || options->quorum > options->witness_count) {
        return err_set(why, ERR_INVALID, "a quorum of %zu of %zu witnesses cannot be",
                       options->quorum, options->witness_count);
    }
    struct keeper *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return ERR_NO_MEMORY;
    }
    pthread_condattr_t monotonic;
    k->with = *options;
    k->status.quorum = options->quorum;
    k->lock_fd = -1;
    buffer_init(&k->note, TLOG_NOTE_SIZE_MAX);
    buffer_init(&k->published_note, TLOG_NOTE_SIZE_MAX);
    (void)pthread_mutex_init(&k->mutex, NULL);
    (void)pthread_condattr_init(&monotonic);
    (void)pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    (void)pthread_cond_init(&k->changed, &monotonic);
    (void)pthread_condattr_destroy(&monotonic);
    enum err e = open_parts(k, why);
    if (e != OK) {
        keeper_destroy(k);
        return e;
    }
    *out = k;
    return OK;
}

void keeper_destroy(struct keeper *keeper)
{
    if (keeper == NULL) {
        return;
    }
    keeper_stop(keeper);
    keeper_tree_close(keeper);
    tile_directory_close(keeper->directory);
    log_keys_close(keeper->keys);
    arena_destroy(keeper->arena);
    buffer_finish(&keeper->note);
    buffer_finish(&keeper->published_note);
    if (keeper->lock_fd >= 0) {
        (void)close(keeper->lock_fd);
    }
    free(keeper->signed_path);
    (void)pthread_cond_destroy(&keeper->changed);
    (void)pthread_mutex_destroy(&keeper->mutex);
    free(keeper);
}

/* --- state -------------------------------------------------------------------------------------
 */

const char *keeper_state_name(enum keeper_state state)
{
    static const char *const names[] = {
        [KEEPER_STARTING] = "starting",       [KEEPER_SIGNING] = "signing",
        [KEEPER_FOLLOWING] = "following",     [KEEPER_FAILING] = "failing",
        [KEEPER_ROLLED_BACK] = "rolled_back", [KEEPER_FORKED] = "forked",
        [KEEPER_FOREIGN] = "foreign",
    };
    return names[state];
}

bool keeper_state_is_well(enum keeper_state state)
{
    return state == KEEPER_STARTING || state == KEEPER_SIGNING || state == KEEPER_FOLLOWING;
}

static bool is_halted(const struct keeper *k)
{
    return !keeper_state_is_well(k->status.state) && k->status.state != KEEPER_FAILING;
}

void keeper_step(const struct keeper *k, const char *name)
{
    if (k->with.on_step != NULL) {
        k->with.on_step(k->with.step_context, name);
    }
}

void keeper_set_state(struct keeper *k, enum keeper_state state, const char *detail)
{
    (void)pthread_mutex_lock(&k->mutex);
    bool changed = k->status.state != state || strcmp(k->status.detail, detail) != 0;
    k->status.state = state;
    (void)snprintf(k->status.detail, sizeof(k->status.detail), "%.255s", detail);
    (void)pthread_mutex_unlock(&k->mutex);
    if (changed) {
        log_event(k->with.log, keeper_state_is_well(state) ? LOG_INFO : LOG_ERROR, "audit_log",
                  log_text("state", keeper_state_name(state)), log_text("reason", detail));
    }
}

/* Once for what was signed: a restart finds the same again. */
void keeper_report_once(struct keeper *k, const char *kind, uint64_t size, const char *detail)
{
    char name[64];
    uint64_t before = 0;
    (void)snprintf(name, sizeof(name), "finding:%s", kind);
    enum err e = store_cursor_get(k->with.store, name, &before);
    if (k->report == NULL || (e == OK && before == size)) {
        return;
    }
    e = k->report(k->report_context, kind, detail);
    if (e == OK) {
        e = store_cursor_set(k->with.store, name, size, clock_wall(&k->with.clock));
    }
    if (e != OK) {
        log_event(k->with.log, LOG_ERROR, "finding_not_recorded", log_text("kind", kind),
                  log_text("error", err_name(e)));
    }
}

enum err keeper_halt(struct keeper *k, enum keeper_state state, uint64_t size, const char *detail)
{
    char text[sizeof(k->status.detail)];
    (void)snprintf(text, sizeof(text), "%.255s", detail); /* it may be in what is closed here */
    detail = text;
    keeper_set_state(k, state, detail);
    k->halted_size = size;
    keeper_report_once(k, state == KEEPER_FORKED ? "log_forked" : "log_rolled_back", size, detail);
    keeper_tree_close(k);
    return OK;
}

/* --- a turn ------------------------------------------------------------------------------------
 */

static enum err refresh_keys(struct keeper *k, struct err_text *why)
{
    bool changed = false;
    (void)pthread_mutex_lock(&k->mutex);
    enum err e = log_keys_refresh(k->keys, &changed, why);
    (void)pthread_mutex_unlock(&k->mutex);
    if (e == OK && changed && k->report != NULL) {
        struct buffer text;
        size_t count = 0;
        buffer_init(&text, TLOG_VERIFIER_TEXT_MAX + 1);
        e = tlog_verifier_format(&log_keys_known(k->keys, &count)[0], &text);
        char *key = e == OK ? bytes_to_string(buffer_bytes(&text)) : NULL;
        if (key != NULL) {
            log_event(k->with.log, LOG_INFO, "log_key_changed", log_text("key", key));
            e = k->report(k->report_context, "log_key", key);
        }
        free(key);
        buffer_finish(&text);
    }
    return e;
}

static bool is_unchecked(const struct keeper *k)
{
    for (size_t i = 0; k->head.size > 0 && i < k->with.witness_count; i++) {
        if (!k->asked[i].checked) {
            return true;
        }
    }
    return false;
}

/* With the duty: what the witnesses saw comes first, then a new checkpoint, then its cosignatures.
 */
static enum err lead(struct keeper *k, struct err_text *why)
{
    int64_t now = clock_monotonic(&k->with.clock);
    enum err e = is_unchecked(k) ? keeper_ask_witnesses(k, why) : OK;
    bool due = k->signed_at_ns == 0 || now - k->signed_at_ns >= k->with.interval_ns;
    if (e == OK && !is_halted(k) && due && tlog_grow_size(k->grow) > k->head.size) {
        e = keeper_sign(k, why);
    }
    return e == OK && !is_halted(k) ? keeper_ask_witnesses(k, why) : e;
}

static enum err go_on(struct keeper *k, struct err_text *why)
{
    bool has_duty = false;
    enum err e = keeper_compare(k, why);
    if (e != OK || is_halted(k)) {
        return e;
    }
    e = store_duty_hold(k->with.store, STORE_DUTY_LOG, &has_duty);
    if (e == OK && has_duty) {
        /* What another one signed until now is compared before anything is added to it. */
        e = keeper_compare(k, why);
        e = e == OK && !is_halted(k) ? lead(k, why) : e;
    }
    if (e == OK && !is_halted(k)) {
        e = keeper_publish(k, why);
    }
    if (e == OK && !is_halted(k)) {
        e = keeper_tree_scrub(k, why);
    }
    if (e == OK && !is_halted(k)) {
        keeper_set_state(k, has_duty ? KEEPER_SIGNING : KEEPER_FOLLOWING, "");
    }
    return e;
}

/* The tiles are not what they should be: the records decide. */
static enum err mend(struct keeper *k, struct err_text *why)
{
    const struct keeper_head head = k->head;
    log_event(k->with.log, LOG_ERROR, "log_tile_damaged", log_text("reason", why->text));
    enum err e = keeper_tree_repair(k, &head, why);
    keeper_tree_close(k);
    return e == ERR_DENIED ? keeper_halt(k, KEEPER_FORKED, head.size, why->text) : e;
}

static enum err turn(struct keeper *k, struct err_text *why)
{
    enum err e = refresh_keys(k, why);
    if (e == OK) {
        e = k->grow == NULL ? keeper_begin(k, why) : keeper_tree_follow(k, why);
    }
    if (e == OK && !is_halted(k)) {
        e = go_on(k, why);
    }
    return e;
}

static bool take_suspicion(struct keeper *k)
{
    (void)pthread_mutex_lock(&k->mutex);
    bool suspect = k->suspect;
    k->suspect = false;
    (void)pthread_mutex_unlock(&k->mutex);
    return suspect;
}

static void after_failure(struct keeper *k, enum err e, const struct err_text *why)
{
    char text[256];
    (void)snprintf(text, sizeof(text), "%.200s (%s)", why->text, err_name(e));
    keeper_tree_close(k); /* what is in memory is not known to be on the disk */
    keeper_set_state(k, KEEPER_FAILING, text);
}

enum err keeper_turn(struct keeper *keeper)
{
    struct err_text why = {0};
    enum err e = OK;
    arena_reset(keeper->arena);
    if (is_halted(keeper)) {
        if (keeper->status.state != KEEPER_FOREIGN) {
            keeper_report_once(
                keeper, keeper->status.state == KEEPER_FORKED ? "log_forked" : "log_rolled_back",
                keeper->halted_size, keeper->status.detail);
        }
        return OK;
    }
    if (take_suspicion(keeper) && keeper->grow != NULL) {
        (void)err_set(&why, ERR_INVALID, "a proof from the tiles did not check");
        e = mend(keeper, &why);
    }
    if (e == OK && !is_halted(keeper)) {
        e = turn(keeper, &why);
    }
    if (e == ERR_INVALID && keeper->grow != NULL) {
        e = mend(keeper, &why);
    }
    if (e != OK) {
        after_failure(keeper, e, &why);
    }
    (void)pthread_mutex_lock(&keeper->mutex);
    keeper->status.size = keeper->grow == NULL ? 0 : tlog_grow_size(keeper->grow);
    (void)pthread_mutex_unlock(&keeper->mutex);
    return e;
}

/* --- the thread --------------------------------------------------------------------------------
 */

static struct timespec after(int64_t ns)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    ns += t.tv_nsec;
    t.tv_sec += (time_t)(ns / 1000000000);
    t.tv_nsec = (long)(ns % 1000000000);
    return t;
}

static void *run(void *context)
{
    struct keeper *k = context;
    bool stopping = false;
    while (!stopping) {
        enum err e = keeper_turn(k);
        (void)e; /* it was said, and is tried again with the next one */
        struct timespec until = after(k->with.interval_ns);
        (void)pthread_mutex_lock(&k->mutex);
        while (!k->stopping &&
               pthread_cond_timedwait(&k->changed, &k->mutex, &until) != ETIMEDOUT) {
        }
        stopping = k->stopping;
        (void)pthread_mutex_unlock(&k->mutex);
    }
    return NULL;
}

void keeper_set_report(struct keeper *keeper, keeper_report_fn *report, void *context)
{
    keeper->report = report;
    keeper->report_context = context;
}

enum err keeper_start(struct keeper *keeper, keeper_report_fn *report, void *context)
{
    keeper_set_report(keeper, report, context);
    keeper->running = pthread_create(&keeper->thread, NULL, run, keeper) == 0;
    return keeper->running ? OK : ERR_NO_MEMORY;
}

void keeper_stop(struct keeper *keeper)
{
    (void)pthread_mutex_lock(&keeper->mutex);
    keeper->stopping = true;
    (void)pthread_cond_broadcast(&keeper->changed);
    (void)pthread_mutex_unlock(&keeper->mutex);
    if (keeper->running) {
        (void)pthread_join(keeper->thread, NULL);
        keeper->running = false;
    }
    keeper_set_report(keeper, NULL, NULL);
}
