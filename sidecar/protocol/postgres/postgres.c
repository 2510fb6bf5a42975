#include "sidecar/protocol/postgres/postgres.h"

#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

enum { OUT_KEEP = 1 << 10 }; /* bytes for messages of our own that an idle session keeps */

/* ---- which state answers which bytes ------------------------------------------------------------
 */

static enum protocol_step on_agent_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct postgres *p = context;
    switch (p->state) {
    case PG_STARTUP: return postgres_startup_bytes(p, in, out_used);
    case PG_TOKEN: return postgres_token_bytes(p, in, out_used);
    case PG_RELAY: return postgres_agent_bytes(p, in, out_used);
    case PG_DONE: return PROTOCOL_CLOSE;
    default: return PROTOCOL_WAIT; /* the login goes on at the other side */
    }
}

static enum protocol_step on_target_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct postgres *p = context;
    enum protocol_step step = PROTOCOL_MORE;
    if (p->state == PG_TARGET_SSL) {
        return postgres_target_ssl_bytes(p, in, out_used);
    }
    if (p->state == PG_TARGET_LOGIN) {
        step = postgres_login_bytes(p, in, out_used);
    }
    if (step == PROTOCOL_MORE && p->state == PG_RELAY) {
        size_t used = 0;
        step = postgres_target_bytes(p, bytes_of(in.data + *out_used, in.size - *out_used), &used);
        *out_used += used;
    }
    return step;
}

static enum protocol_step on_granted(void *context, const Chaperone__V1__OpenSessionResponse *grant)
{
    return postgres_granted(context, grant);
}

static enum protocol_step on_refused(void *context, enum err code, const char *why)
{
    return postgres_refused(context, code, why);
}

static enum protocol_step on_connected(void *context, enum protocol_side side)
{
    return side == SIDE_SECOND ? postgres_second_connected(context)
                               : postgres_target_connected(context);
}

static enum protocol_step on_secured(void *context, enum protocol_side side)
{
    struct postgres *p = context;
    switch (side) {
    case SIDE_AGENT: return PROTOCOL_MORE; /* the startup packet follows, encrypted */
    case SIDE_TARGET: return postgres_target_secured(p);
    case SIDE_SECOND: break;
    }
    return postgres_second_secured(p);
}

static enum protocol_step on_failed(void *context, enum protocol_side side, enum err code,
                                    const char *why)
{
    struct postgres *p = context;
    (void)code;
    if (side == SIDE_AGENT) {
        p->link->ops->set_end(p->link, "agent_disconnected", why);
        return PROTOCOL_CLOSE;
    }
    if (p->state == PG_RELAY) {
        return postgres_fatal(p, PG_SQLSTATE_CONNECTION_FAILURE,
                              "the connection to the target broke", "target_disconnected");
    }
    char text[300];
    (void)snprintf(text, sizeof(text), "Chaperone cannot connect to the target: %.200s", why);
    return postgres_fatal(p, PG_SQLSTATE_CANNOT_CONNECT, text, "target_unreachable");
}

static enum protocol_step on_end(void *context, enum protocol_side side)
{
    struct postgres *p = context;
    if (side == SIDE_TARGET) {
        if (p->fatal_sent || p->agent_ended) {
            p->link->ops->set_end(p->link, "target_disconnected", p->error);
            return PROTOCOL_CLOSE;
        }
        if (p->state != PG_RELAY) {
            /* So does one, under TLS 1.3, that does not trust the credential's certificate. */
            return postgres_fatal(p, PG_SQLSTATE_CANNOT_CONNECT,
                                  "Chaperone cannot log in to the target: it closed the connection "
                                  "during the login",
                                  "target_login_failed");
        }
        return postgres_fatal(p, PG_SQLSTATE_CONNECTION_FAILURE,
                              "the target closed the connection unexpectedly",
                              "target_disconnected");
    }
    p->agent_ended = true;
    bool in_message = p->from_agent.left > 0 && !p->from_agent.drop;
    if (p->state != PG_RELAY || in_message || p->terminated) {
        return p->terminated && p->queue.count > 0 ? PROTOCOL_MORE : PROTOCOL_CLOSE;
    }
    /* What was asked runs to its end at the target; its answers are still recorded. */
    enum protocol_step step = postgres_send(p, SIDE_TARGET, pg_write_terminate(&p->out));
    return step == PROTOCOL_MORE && p->queue.count > 0 ? PROTOCOL_MORE : PROTOCOL_CLOSE;
}

static void on_signal(void *context)
{
    struct postgres *p = context;
    if (p->state == PG_RELAY) {
        postgres_cancel(p);
    }
}

static void on_terminate(void *context, enum err code, const char *why, bool stop_running)
{
    struct postgres *p = context;
    if (p->state == PG_RELAY && stop_running && p->queue.count > 0) {
        (void)p->link->ops->connect_second(p->link);
    }
    const char *sqlstate = code == ERR_FULL                           ? PG_SQLSTATE_DISK_FULL
                           : code == ERR_TIMEOUT                      ? PG_SQLSTATE_QUERY_CANCELED
                           : code == ERR_DENIED || code == ERR_CLOSED ? PG_SQLSTATE_ADMIN_SHUTDOWN
                                                                      : PG_SQLSTATE_INTERNAL_ERROR;
    if (p->state != PG_DONE && p->from_target.left == 0) {
        char text[300];
        (void)snprintf(text, sizeof(text), "terminating connection: %.250s", why);
        const struct pg_message error = {
            .severity = "FATAL", .sqlstate = sqlstate, .message = text};
        (void)postgres_send(p, SIDE_AGENT, pg_write_error(&p->out, &error));
    }
}

static bool is_idle(const void *context)
{
    const struct postgres *p = context;
    return p->state == PG_RELAY && p->queue.count == 0 && p->transaction == 'I' &&
           !postgres_inquiry_is_running(p) && p->from_agent.left == 0 && p->from_target.left == 0;
}

static void on_close(void *context)
{
    postgres_abandon(context);
}

/* ---- for all files ---- */

void postgres_set_state(struct postgres *p, enum pg_state state)
{
    if (p->state != PG_DONE) {
        p->state = state;
    }
}

enum protocol_step postgres_send(struct postgres *p, enum protocol_side side, enum err written)
{
    struct bytes b = buffer_bytes(&p->out);
    if (written != OK) {
        buffer_clear(&p->out);
        p->link->ops->set_end(p->link, "error", "a message could not be made");
        return PROTOCOL_CLOSE;
    }
    if (side == SIDE_AGENT) {
        p->link->ops->to_agent(p->link, b);
    } else if (side == SIDE_TARGET) {
        p->link->ops->to_target(p->link, b);
    } else {
        p->link->ops->to_second(p->link, b);
    }
    if (p->out.capacity > OUT_KEEP) { /* as after a question to the catalog */
        buffer_finish(&p->out);
    } else {
        buffer_clear(&p->out);
    }
    return PROTOCOL_MORE;
}

enum protocol_step postgres_fatal(struct postgres *p, const char *sqlstate, const char *message,
                                  const char *reason)
{
    const struct pg_message error = {.severity = "FATAL", .sqlstate = sqlstate, .message = message};
    p->link->ops->set_end(p->link, reason, message);
    buffer_clear(&p->out);
    /* In the midst of a message to the agent there is no place for another. */
    if (p->from_target.left == 0) {
        (void)postgres_send(p, SIDE_AGENT, pg_write_error(&p->out, &error));
    }
    p->fatal_sent = true;
    return PROTOCOL_CLOSE;
}

enum protocol_step postgres_violation(struct postgres *p, const char *what)
{
    return postgres_fatal(p, PG_SQLSTATE_PROTOCOL_VIOLATION, what, "agent_protocol_violation");
}

static void *create(struct protocol_link *link, const struct protocol_shared *shared)
{
    struct postgres *p = calloc(1, sizeof(*p));
    if (p == NULL) {
        return NULL;
    }
    p->link = link;
    p->shared = shared;
    buffer_init(&p->out, PG_OUTPUT_MAX);
    buffer_init(&p->masked, PG_MASKED_MAX);
    buffer_init(&p->response, shared->response_max);
    crypto_sha256_init(&p->digest);
    return p;
}

static void destroy(void *context)
{
    struct postgres *p = context;
    if (p == NULL) {
        return;
    }
    pg_login_destroy(p->login);
    if (p->target_password != NULL) {
        bytes_wipe(p->target_password, strlen(p->target_password));
    }
    free(p->target_password);
    free(p->target_user);
    free(p->target_database);
    free(p->settings);
    bytes_wipe(p->target_key, sizeof(p->target_key));
    pg_queue_finish(&p->queue);
    postgres_meaning_finish(&p->meaning);
    postgres_forget_followed(p);
    pg_result_destroy(p->result);
    masker_copy_destroy(p->copy);
    postgres_prediction_finish(p);
    buffer_wipe(&p->masked);
    pg_names_destroy(p->statements);
    pg_names_destroy(p->portals);
    pg_spares_finish(&p->spares); /* nothing is left that could come back to them */
    postgres_masking_finish(p);
    buffer_wipe(&p->out);
    buffer_wipe(&p->response);
    free(p);
}

static void unix_path(const char *dir, uint16_t port, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/.s.PGSQL.%u", dir, port);
}

const struct protocol protocol_postgres = {
    .name = "postgres",
    .unix_path = unix_path,
    .create = create,
    .destroy = destroy,
    .buffer_max = MASKER_ROW_MAX + (1 << 20), /* a row that is masked, and what is behind it */
    .on_agent_bytes = on_agent_bytes,
    .on_target_bytes = on_target_bytes,
    .on_second_bytes = postgres_second_bytes,
    .on_granted = on_granted,
    .on_refused = on_refused,
    .on_connected = on_connected,
    .on_secured = on_secured,
    .on_failed = on_failed,
    .on_end = on_end,
    .on_signal = on_signal,
    .on_terminate = on_terminate,
    .is_idle = is_idle,
    .on_close = on_close,
};
