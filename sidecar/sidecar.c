#include "sidecar/sidecar.h"

#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/arena.h"
#include "base/crypto/crypto.h"
#include "sidecar/catalog/catalog_shelf.h"
#include "sidecar/files.h"
#include "sidecar/headroom/headroom.h"
#include "sidecar/headroom/reserve.h"
#include "sidecar/holders.h"
#include "sidecar/masking/masker.h"
#include "sidecar/rate/rate.h"
#include "sidecar/sidecar_internal.h"
#include "sidecar/sql/sql.h"

const char sidecar_version[] = "0.1.0";

enum {
    SQL_CACHE_BYTES = 2 << 20,
    SHIP_LAST_MS = 3000, /* at the end, for the last records to reach the control plane */
    SCRATCH_BLOCK = 16 << 10,
    SCRATCH_CAP = 64 << 20, /* a statement with a million parameters or objects stays below */
};

/* ---- the end
 * ----------------------------------------------------------------------------------------- */

static void on_shipped(void *context, enum err result)
{
    struct sidecar *s = context;
    (void)result;
    loop_stop(s->loop);
}

static void leave_records(struct sidecar *s, const char *why)
{
    log_event(&s->log, LOG_WARN, "records_left_in_spool", log_text("why", why));
    loop_stop(s->loop);
}

static void on_ship_timeout(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct sidecar *s = w->data;
    leave_records(s, "the control plane did not take them; the next start ships them");
}

/* The last session is over: the stream is closed by a heartbeat and shipped. */
static void on_empty(void *context)
{
    struct sidecar *s = context;
    struct control_status control = {.revoked = false};
    uint64_t sequence = 0;
    ev_timer_stop(loop_ev(s->loop), &s->drain_timer);
    if (s->recorder == NULL || recorder_write_heartbeat(s->recorder, &sequence) != OK) {
        loop_stop(s->loop);
        return;
    }
    control_status(s->control, &control);
    if (control.revoked) {
        leave_records(s, "this sidecar has been revoked: the control plane takes none");
        return;
    }
    s->last_shipped = (struct recorder_waiter){
        .sequence = sequence, .level = DURABILITY_FLEET, .fn = on_shipped, .context = s};
    recorder_wait(s->recorder, &s->last_shipped);
    ev_timer_init(&s->drain_timer, on_ship_timeout, SHIP_LAST_MS / 1000.0, 0.0);
    s->drain_timer.data = s;
    ev_timer_start(loop_ev(s->loop), &s->drain_timer);
}

static void drain_one(void *context, struct session *session)
{
    (void)context;
    session_drain(session);
}

static void abort_one(void *context, struct session *session)
{
    (void)context;
    session_abort(session);
}

static void on_drain_timeout(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)events;
    struct sidecar *s = w->data;
    directory_each(s->shared->directory, abort_one, s);
}

static void stop(struct sidecar *s)
{
    if (s->stopping) {
        directory_each(s->shared->directory, abort_one, s); /* asked twice: at once */
        return;
    }
    s->stopping = true;
    s->shared->draining = true;
    sidecar_stop_listening(s); /* before it is said: nobody who reads it gets in any more */
    log_event(&s->log, LOG_INFO, "stopping",
              log_number("sessions", (int64_t)directory_count(s->shared->directory)));
    if (directory_count(s->shared->directory) == 0) {
        on_empty(s);
        return;
    }
    ev_timer_init(&s->drain_timer, on_drain_timeout, (double)sidecar_config(s)->drain_ns / 1e9,
                  0.0);
    s->drain_timer.data = s;
    ev_timer_start(loop_ev(s->loop), &s->drain_timer);
    directory_each(s->shared->directory, drain_one, s);
}

static void on_stop_signal(struct ev_loop *ev, struct ev_signal *w, int events)
{
    (void)ev;
    (void)events;
    stop(w->data);
}

static void on_reload_signal(struct ev_loop *ev, struct ev_signal *w, int events)
{
    (void)ev;
    (void)events;
    sidecar_reload(w->data);
}

/* ---- what the control plane says
 * ------------------------------------------------------------------------ */

static uint32_t count_sessions(void *context)
{
    struct sidecar *s = context;
    return (uint32_t)s->metrics.sessions_active;
}

/* Sessions of a process that died have no end in the stream: a heartbeat that counts none ends
 * them. */
static void end_lost_sessions(struct sidecar *s)
{
    uint64_t sequence = 0;
    if (recorder_last_sequence(s->recorder) > 0 &&
        recorder_write_heartbeat(s->recorder, &sequence) != OK) {
        log_event(&s->log, LOG_WARN, "first_heartbeat_not_written");
    }
}

static enum err open_recorder(struct sidecar *s, const char *id, struct err_text *why)
{
    char dir[4096];
    const struct config *c = sidecar_config(s);
    (void)snprintf(dir, sizeof(dir), "%s/spool", c->state);
    const struct recorder_options options = {
        .dir = dir,
        .sidecar = id,
        .segment_size = c->segment_bytes,
        .cap = c->spool_bytes,
        .clock = &s->clock,
        .loop = s->loop,
        .log = &s->log,
        .key = control_key(s->control),
    };
    enum err e = recorder_open(&options, &s->recorder, why);
    if (e == OK) {
        s->shared->recorder = s->recorder;
        recorder_count_sessions(s->recorder, count_sessions, s);
        end_lost_sessions(s);
        e = control_attach_recorder(s->control, s->recorder);
    }
    return e;
}

static void on_enrolled(void *context, const char *id)
{
    struct sidecar *s = context;
    struct err_text why = {0};
    log_event(&s->log, LOG_INFO, "enrolled", log_text("sidecar", id));
    enum err e = open_recorder(s, id, &why);
    if (e == OK) {
        e = sidecar_listen(s, &why);
    }
    if (e != OK) {
        log_event(&s->log, LOG_ERROR, "start_failed", log_text("why", why.text));
        s->failed = true;
        loop_stop(s->loop);
    }
    trim_libraries(); /* everything has begun */
}

static void look_again(void *context, struct session *session)
{
    (void)context;
    session_look_again(session);
}

static void on_policy(void *context, const struct policy *policy)
{
    struct sidecar *s = context;
    s->shared->policy = policy;
    directory_each(s->shared->directory, look_again, NULL);
}

static void decide_one(void *context, struct session *session)
{
    session_take_decision(session, context);
}

static void on_decided(void *context, const Chaperone__V1__ApprovalDecided *decided)
{
    struct sidecar *s = context;
    directory_each(s->shared->directory, decide_one, (void *)(uintptr_t)decided);
}

static void list_held(void *context, struct session *session)
{
    const char *approval = session_awaited_approval(session);
    if (approval != NULL) {
        /* One that does not fit is not pushed again: it expires. */
        enum err e = control_held_add(context, approval);
        (void)e;
    }
}

static void on_list_held(void *context, struct control_held *list)
{
    struct sidecar *s = context;
    directory_each(s->shared->directory, list_held, list);
}

struct killing {
    const struct control_kill *order;
    struct control_sessions *ended;
};

static void kill_one(void *context, struct session *session)
{
    const struct killing *k = context;
    if (session_is_meant(session, k->order)) {
        /* One that does not fit is ended all the same, and its record says by which order. */
        enum err e = control_sessions_add(k->ended, session_id(session));
        (void)e;
        session_kill(session, k->order);
    }
}

static void on_kill(void *context, const struct control_kill *order, struct control_sessions *ended)
{
    struct sidecar *s = context;
    struct killing killing = {.order = order, .ended = ended};
    directory_each(s->shared->directory, kill_one, &killing);
}

static void list_one(void *context, struct session *session)
{
    /* One that does not fit is taken for closed, and corrected by its next record. */
    enum err e = control_sessions_add(context, session_id(session));
    (void)e;
}

static void on_list_sessions(void *context, struct control_sessions *list)
{
    struct sidecar *s = context;
    directory_each(s->shared->directory, list_one, list);
}

static enum err read_token(void *context, struct buffer *out, struct err_text *why)
{
    return token_source_read(context, out, why);
}

static enum err start_control(struct sidecar *s, struct err_text *why)
{
    const struct config *c = sidecar_config(s);
    char host[256] = "";
    struct buffer ca, join;
    buffer_init(&ca, FILES_SIZE_MAX);
    buffer_init(&join, 4096 + 1024);
    s->control_tokens = token_source_hold(s->shared->tokens);
    (void)gethostname(host, sizeof(host) - 1);
    enum err e = files_read(c->ca_file, &ca, why);
    if (e == OK && c->join_token_file != NULL &&
        files_read(c->join_token_file, &join, NULL) != OK) {
        buffer_clear(&join); /* it is needed for the first start only */
    }
    char *token = bytes_to_string(buffer_bytes(&join));
    if (e == OK && token == NULL) {
        e = ERR_NO_MEMORY;
    }
    if (e == OK) {
        token[strcspn(token, "\r\n")] = '\0';
        const struct control_options options = {
            .loop = s->loop,
            .log = &s->log,
            .clock = &s->clock,
            .server = c->servers[0],
            .others = c->servers + 1,
            .others_count = c->server_count - 1,
            .server_name = c->server_name,
            .ca_pem = buffer_bytes(&ca),
            .state_dir = c->state,
            .join_token = token[0] == '\0' ? NULL : token,
            .token = c->token_in_band ? NULL : read_token,
            .token_context = s->control_tokens,
            .name = c->name != NULL ? c->name : host,
            .version = sidecar_version,
            .resources = c->resources,
            .resources_count = c->resource_count,
            .events = {.on_enrolled = on_enrolled,
                       .on_policy = on_policy,
                       .on_kill = on_kill,
                       .on_list_sessions = on_list_sessions,
                       .on_list_held = on_list_held,
                       .on_decided = on_decided},
            .context = s,
        };
        e = control_start(&options, &s->control, why);
        s->shared->control = s->control;
        bytes_wipe(token, strlen(token));
    }
    free(token);
    buffer_finish(&ca);
    buffer_wipe(&join);
    return e;
}

/* ---- life
 * ------------------------------------------------------------------------------------------------
 */

static bool has_memory(void *context, size_t bytes)
{
    if (headroom_has(context, bytes)) {
        return true;
    }
    if (!headroom_has(context, SQL_MEMORY_MARGIN)) {
        reserve_give_up();
    }
    return false;
}

static enum err create_shared(struct sidecar *s)
{
    s->shared = calloc(1, sizeof(*s->shared));
    if (s->shared == NULL) {
        return ERR_NO_MEMORY;
    }
    s->headroom = headroom_create(headroom_cgroup_limit("/proc/self/cgroup", "/sys/fs/cgroup"));
    if (s->headroom == NULL) {
        return ERR_NO_MEMORY;
    }
    struct sql_cache_options sql = {
        .max_bytes = SQL_CACHE_BYTES, .has_memory = has_memory, .context = s->headroom};
    const struct crypto_random random = crypto_random_system();
    enum err e = crypto_random_fill(&random, (uint8_t *)sql.seed, sizeof(sql.seed));
    if (e != OK) {
        return e;
    }
    s->sql = sql_cache_create(&sql);
    *s->shared = (struct session_shared){
        .loop = s->loop,
        .log = &s->log,
        .clock = &s->clock,
        .directory = directory_create(),
        .holders = holders_create(),
        .rates = rate_table_create(0),
        .metrics = &s->metrics,
        .scratch = arena_create(SCRATCH_BLOCK, SCRATCH_CAP),
        .protocol = {.sql = s->sql,
                     .catalogs = catalog_shelf_create(),
                     .detectors = masker_cache_create(),
                     .version = sidecar_version,
                     .scratch = arena_create(SCRATCH_BLOCK, SCRATCH_CAP)},
        .on_empty = on_empty,
        .context = s,
    };
    if (s->sql == NULL || s->shared->directory == NULL || s->shared->rates == NULL ||
        s->shared->holders == NULL || s->shared->scratch == NULL ||
        s->shared->protocol.scratch == NULL || s->shared->protocol.catalogs == NULL ||
        s->shared->protocol.detectors == NULL) {
        return ERR_NO_MEMORY;
    }
    sidecar_apply(s);
    return token_source_create(&sidecar_config(s)->identity, &s->shared->tokens);
}

static void start_signals(struct sidecar *s)
{
    struct ev_loop *ev = loop_ev(s->loop);
    ev_signal_init(&s->on_term, on_stop_signal, SIGTERM);
    ev_signal_init(&s->on_int, on_stop_signal, SIGINT);
    ev_signal_init(&s->on_hup, on_reload_signal, SIGHUP);
    ev_init(&s->drain_timer, on_drain_timeout);
    s->on_term.data = s;
    s->on_int.data = s;
    s->on_hup.data = s;
    ev_signal_start(ev, &s->on_term);
    ev_signal_start(ev, &s->on_int);
    ev_signal_start(ev, &s->on_hup);
}

enum err sidecar_create(struct config *config, const char *path, struct sidecar **out,
                        struct err_text *why)
{
    struct sidecar *s = calloc(1, sizeof(*s));
    struct loaded *loaded = calloc(1, sizeof(*loaded));
    if (s == NULL || loaded == NULL) {
        free(s);
        free(loaded);
        config_finish(config);
        return ERR_NO_MEMORY;
    }
    loaded->config = *config;
    if (config->identity.command != NULL) {
        loaded->config.identity.command = loaded->config.identity_command;
    }
    s->loaded = loaded;
    s->clock = clock_system();
    s->log = (struct log){.fd = STDERR_FILENO, .clock = s->clock};
    s->started_ns = clock_monotonic(&s->clock);
    s->path = strdup(path);
    enum err e = s->path == NULL ? ERR_NO_MEMORY : loop_create(&s->loop);
    if (e == OK) {
        e = create_shared(s);
    }
    if (e == OK) {
        start_signals(s);
        e = start_control(s, why);
    }
    if (e == OK && sidecar_config(s)->health != NULL) {
        struct health_source source = sidecar_health;
        source.context = s;
        e = health_create(s->loop, sidecar_config(s)->health, &source, &s->health, why);
    }
    if (e != OK) {
        sidecar_destroy(s);
        return e;
    }
    *out = s;
    return OK;
}

enum err sidecar_run(struct sidecar *s)
{
    security_log(&sidecar_config(s)->security, &s->log);
    log_event(&s->log, LOG_INFO, "started", log_text("version", sidecar_version),
              log_text("control_plane", sidecar_config(s)->servers[0]));
    loop_run(s->loop);
    log_event(&s->log, LOG_INFO, "stopped");
    return s->failed ? ERR_IO : OK;
}

static void free_loaded(struct sidecar *s)
{
    while (s->loaded != NULL) {
        struct loaded *l = s->loaded;
        s->loaded = l->next;
        config_finish(&l->config);
        free(l);
    }
}

void sidecar_destroy(struct sidecar *s)
{
    if (s == NULL) {
        return;
    }
    health_destroy(s->health);
    if (s->recorder != NULL) {
        recorder_cancel_wait(s->recorder, &s->last_shipped);
    }
    control_stop(s->control);
    token_source_release(s->control_tokens);
    recorder_close(s->recorder);
    if (s->shared != NULL) {
        sidecar_free_listeners(s);
        token_source_release(s->shared->tokens);
        target_tls_forget(&s->shared->target_tls);
        directory_destroy(s->shared->directory);
        holders_destroy(s->shared->holders);
        arena_destroy(s->shared->scratch);
        arena_destroy(s->shared->protocol.scratch);
        catalog_shelf_destroy(s->shared->protocol.catalogs);
        rate_table_destroy(s->shared->rates);
        masker_cache_destroy(s->shared->protocol.detectors);
    }
    sql_cache_destroy(s->sql);
    headroom_destroy(s->headroom);
    loop_destroy(s->loop);
    free(s->shared);
    free_loaded(s);
    free(s->path);
    free(s);
}
