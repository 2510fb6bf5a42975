#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* ---- outcomes ---------------------------------------------------------------------------------
 */

static void answer_reset(struct postgres *p)
{
    if (p->response.capacity > 4096) {
        buffer_finish(&p->response);
    } else {
        buffer_clear(&p->response);
    }
    p->response_truncated = false;
    crypto_sha256_init(&p->digest);
    p->rows = 0;
    p->rows_unended = 0;
    p->bytes = 0;
    p->tag[0] = '\0';
    p->error_code[0] = '\0';
    p->error[0] = '\0';
}

static void add_input(struct postgres *p, Chaperone__V1__Outcome *m, uint8_t *digest)
{
    if (p->bytes_in > 0) {
        crypto_sha256_finish(&p->digest_in, digest);
        m->bytes_in = p->bytes_in;
        m->digest_in.data = digest;
        m->digest_in.len = CRYPTO_SHA256_SIZE;
        p->bytes_in = 0;
    }
}

bool postgres_outcome(struct postgres *p, uint64_t operation, uint64_t intent_sequence,
                      int64_t started_ns, Chaperone__V1__Status status)
{
    if (operation == 0) {
        return true;
    }
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    uint8_t digest[CRYPTO_SHA256_SIZE], digest_in[CRYPTO_SHA256_SIZE];
    m.operation = operation;
    m.intent_sequence = intent_sequence;
    m.status = status;
    m.command_tag = p->tag;
    m.error_code = p->error_code;
    m.error = p->error;
    m.rows = p->rows + p->rows_unended;
    m.bytes = p->bytes;
    m.duration_us = started_ns == 0 ? 0 : (p->link->ops->monotonic_ns(p->link) - started_ns) / 1000;
    if (p->bytes > 0) {
        struct crypto_sha256 copy = p->digest;
        crypto_sha256_finish(&copy, digest);
        m.digest.data = digest;
        m.digest.len = sizeof(digest);
    }
    if (buffer_size(&p->response) > 0) {
        m.response_encoding = (char *)"postgres";
        m.response.data = (uint8_t *)buffer_bytes(&p->response).data;
        m.response.len = buffer_size(&p->response);
    }
    m.response_truncated = p->response_truncated;
    add_input(p, &m, digest_in);
    bool recorded = p->link->ops->outcome(p->link, &m);
    answer_reset(p);
    return recorded;
}

/* Without what the running answer has gathered: for an operation that is not being answered. */
static bool outcome_without_answer(struct postgres *p, uint64_t operation, uint64_t intent_sequence,
                                   Chaperone__V1__Status status)
{
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    if (operation == 0) {
        return true;
    }
    m.operation = operation;
    m.intent_sequence = intent_sequence;
    m.status = status;
    return p->link->ops->outcome(p->link, &m);
}

void postgres_drop_portal(void *context, void *object)
{
    struct postgres *p = context;
    struct pg_portal *portal = object;
    if (portal->state == PG_PORTAL_BOUND && portal->operation != 0) {
        (void)outcome_without_answer(p, portal->operation, portal->intent_sequence,
                                     CHAPERONE__V1__STATUS__NOT_EXECUTED);
        portal->operation = 0;
    }
}

/* ---- what is recorded of an answer
 * --------------------------------------------------------------- */

/* Bytes as the agent gets them: rows and COPY data go into the digest, they and the row
 * descriptions into the recorded part. Only whole beginnings are kept: after the first cut nothing
 * more is added. */
static void absorb(struct postgres *p, struct bytes b, bool is_data)
{
    if (is_data) {
        crypto_sha256_update(&p->digest, b);
        p->bytes += b.size;
    }
    size_t room = p->shared->response_max - buffer_size(&p->response);
    if (p->response_truncated) {
        return;
    }
    if (b.size > room) {
        p->response_truncated = true;
        b.size = room;
    }
    if (buffer_append(&p->response, b) != OK) {
        p->response_truncated = true;
    }
}

/* ---- errors
 * --------------------------------------------------------------------------------------- */

static void copy_text(char *out, size_t size, struct bytes text)
{
    size_t n = text.size < size - 1 ? text.size : size - 1;
    if (n > 0) {
        memcpy(out, text.data, n);
    }
    out[n] = '\0';
}

/* The fields of an error, also when only the beginning of a very long one is here. */
static struct bytes find_field(struct bytes body, uint8_t type)
{
    struct cursor c = cursor_of(body);
    for (;;) {
        uint8_t t = cursor_read_u8(&c);
        if (t == 0 || c.failed) {
            return (struct bytes){0};
        }
        struct bytes value = cursor_read_string(&c);
        if (t == type || c.failed) {
            return value;
        }
    }
}

static void keep_error(struct postgres *p, struct bytes body)
{
    struct bytes code = find_field(body, 'C');
    struct bytes message = find_field(body, 'M');
    copy_text(p->error_code, sizeof(p->error_code), code);
    copy_text(p->error, sizeof(p->error), message);
}

/* Takes back what a skipped or failed message had changed in the maps. */
static void take_back(struct postgres *p, struct pg_sent *sent)
{
    struct bytes name = bytes_of_string(sent->name);
    if (sent->type == 'P' && sent->statement != NULL) {
        pg_names_restore(p->statements, name, sent->statement, sent->previous_statement);
        sent->previous_statement = NULL;
    } else if (sent->type == 'B' && sent->portal != NULL) {
        pg_names_restore(p->portals, name, sent->portal, sent->previous_portal);
        sent->previous_portal = NULL;
    } else if (sent->type == 'C' && sent->close_kind == 'S') {
        pg_names_restore(p->statements, name, NULL, sent->previous_statement);
        sent->previous_statement = NULL;
    } else if (sent->type == 'C') {
        pg_names_restore(p->portals, name, NULL, sent->previous_portal);
        sent->previous_portal = NULL;
    }
}

static bool skip_one(struct postgres *p, struct pg_sent *sent)
{
    bool recorded = true;
    if (sent->refusal == NULL) {
        struct pg_portal *portal = sent->portal;
        if (sent->type == 'B' && portal != NULL) {
            recorded = outcome_without_answer(p, portal->operation, portal->intent_sequence,
                                              CHAPERONE__V1__STATUS__NOT_EXECUTED);
            portal->operation = 0;
        } else if (sent->operation != 0) {
            recorded = outcome_without_answer(p, sent->operation, sent->intent_sequence,
                                              CHAPERONE__V1__STATUS__NOT_EXECUTED);
        }
    }
    take_back(p, sent);
    return recorded;
}

/* After an error in the extended protocol the server skips everything up to the next Sync: what was
 * sent is taken back, the last one first, and what comes is dropped until that Sync. */
static bool skip_to_sync(struct postgres *p)
{
    size_t n = 0;
    while (n < p->queue.count && pg_queue_at(&p->queue, n)->type != 'S') {
        n++;
    }
    bool recorded = true;
    for (size_t i = n; i > 0; i--) {
        recorded = skip_one(p, pg_queue_at(&p->queue, i - 1)) && recorded;
    }
    p->skipping = p->skipping || n == p->queue.count;
    while (n-- > 0) {
        pg_queue_pop(&p->queue);
    }
    return recorded;
}

/* The operation of a Bind that failed: an Execute behind it may have it already. */
static bool fail_bound(struct postgres *p, struct pg_portal *portal)
{
    uint64_t operation = portal->operation;
    uint64_t sequence = portal->intent_sequence;
    portal->operation = 0;
    for (size_t i = 1; operation == 0 && i < p->queue.count; i++) {
        struct pg_sent *sent = pg_queue_at(&p->queue, i);
        if (sent->type == 'E' && sent->portal == portal) {
            operation = sent->operation;
            sequence = sent->intent_sequence;
            sent->operation = 0;
        }
    }
    return postgres_outcome(p, operation, sequence, portal->started_ns,
                            CHAPERONE__V1__STATUS__FAILED);
}

/* What was bound to a statement before the answer to its Parse came; NULL: nothing. */
static struct pg_portal *find_bound(struct postgres *p, const struct pg_statement *statement)
{
    for (size_t i = 1; i < p->queue.count; i++) {
        struct pg_sent *sent = pg_queue_at(&p->queue, i);
        if (sent->type == 'S') {
            break;
        }
        if (sent->type == 'B' && sent->portal != NULL && sent->portal->statement == statement) {
            return sent->portal;
        }
    }
    return NULL;
}

static bool fail_head(struct postgres *p, struct pg_sent *head)
{
    bool recorded = true;
    if (head->type == 'E') {
        recorded = postgres_outcome(p, head->operation, head->intent_sequence, head->started_ns,
                                    CHAPERONE__V1__STATUS__FAILED);
        head->operation = 0;
        head->portal->state = PG_PORTAL_DONE;
    } else if (head->type == 'B' && head->portal != NULL) {
        recorded = fail_bound(p, head->portal);
    } else if (head->type == 'P' && head->statement != NULL) {
        struct pg_portal *portal = find_bound(p, head->statement);
        recorded = portal == NULL || fail_bound(p, portal);
    }
    return recorded;
}

static bool is_fatal(struct bytes body)
{
    struct bytes severity = find_field(body, 'V');
    if (severity.size == 0) {
        severity = find_field(body, 'S');
    }
    return bytes_equal_string(severity, "FATAL") || bytes_equal_string(severity, "PANIC");
}

static enum protocol_step on_error(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    p->fatal_sent = p->fatal_sent || is_fatal(body);
    if (head == NULL) {
        p->link->ops->to_agent(p->link, message);
        return PROTOCOL_MORE;
    }
    bool recorded = true;
    keep_error(p, body);
    if (head->refusal != NULL && !p->fatal_sent) {
        p->link->ops->to_agent(p->link, bytes_of(head->refusal, head->refusal_size));
    } else {
        if (head->type == 'S') {
            recorded = postgres_outcome(p, p->last_operation, p->last_intent_sequence, 0,
                                        CHAPERONE__V1__STATUS__FAILED);
        } else {
            recorded = fail_head(p, head);
        }
        if (recorded) {
            p->link->ops->to_agent(p->link, message);
        }
    }
    if (head->type == 'Q' || head->type == 'F') {
        head->failed = true;
    } else if (head->type != 'S') {
        recorded = skip_to_sync(p) && recorded;
        answer_reset(p);
    }
    return recorded ? PROTOCOL_MORE : PROTOCOL_CLOSE;
}

/* ---- answers
 * ---------------------------------------------------------------------------------------- */

static enum protocol_step garbage(struct postgres *p, const char *what)
{
    char text[160];
    (void)snprintf(text, sizeof(text), "the target broke the protocol: %s", what);
    return postgres_fatal(p, PG_SQLSTATE_PROTOCOL_VIOLATION, text, "target_protocol_violation");
}

static enum protocol_step pass(struct postgres *p, struct bytes message)
{
    p->link->ops->to_agent(p->link, message);
    return PROTOCOL_MORE;
}

/* The answer to a message that asked for one thing only. */
static enum protocol_step pass_and_pop(struct postgres *p, struct bytes message, const char *types)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || strchr(types, head->type) == NULL) {
        return garbage(p, "an answer to nothing that was asked");
    }
    if (head->previous_portal != NULL) {
        postgres_drop_portal(p, head->previous_portal);
    }
    pg_queue_pop(&p->queue);
    return pass(p, message);
}

static void count_rows(struct postgres *p, struct bytes body)
{
    struct bytes tag = {0};
    if (pg_wire_read_string(body, &tag) == WIRE_OK) {
        uint64_t rows = 0;
        copy_text(p->tag, sizeof(p->tag), tag);
        if (pg_tag_rows(tag, &rows)) {
            p->rows += rows;
        }
        p->rows_unended = 0; /* the tag counts them */
    }
}

/* CommandComplete, EmptyQueryResponse, PortalSuspended. */
static enum protocol_step on_complete(struct postgres *p, uint8_t type, struct bytes message,
                                      struct bytes body)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || (head->type != 'Q' && head->type != 'E')) {
        return garbage(p, "the end of a command that was not asked for");
    }
    if (type == PG_BACKEND_COMMAND_COMPLETE) {
        count_rows(p, body);
    }
    if (head->type == 'Q') {
        return pass(p, message); /* more statements may follow: ReadyForQuery is the end */
    }
    bool suspended = type == PG_BACKEND_PORTAL_SUSPENDED;
    head->portal->state = suspended ? PG_PORTAL_RUNNING : PG_PORTAL_DONE;
    p->last_operation = head->operation;
    p->last_intent_sequence = head->intent_sequence;
    if (!postgres_outcome(p, head->operation, head->intent_sequence, head->started_ns,
                          suspended ? CHAPERONE__V1__STATUS__SUSPENDED
                                    : CHAPERONE__V1__STATUS__SUCCESS)) {
        return PROTOCOL_CLOSE;
    }
    pg_queue_pop(&p->queue);
    return pass(p, message);
}

static enum protocol_step on_ready(struct postgres *p, struct bytes message, struct bytes body)
{
    uint8_t status = 0;
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (pg_wire_read_ready(body, &status) != WIRE_OK || head == NULL ||
        strchr("QFS", head->type) == NULL) {
        return garbage(p, "ReadyForQuery out of place");
    }
    bool recorded = true;
    if (head->refusal == NULL) {
        recorded = postgres_outcome(p, head->operation, head->intent_sequence, head->started_ns,
                                    head->failed ? CHAPERONE__V1__STATUS__FAILED
                                                 : CHAPERONE__V1__STATUS__SUCCESS);
    }
    answer_reset(p);
    p->last_operation = 0;
    p->transaction = status;
    if (status == 'I') {
        pg_names_clear(p->portals, postgres_drop_portal, p);
    }
    pg_queue_pop(&p->queue);
    if (!recorded) {
        return PROTOCOL_CLOSE;
    }
    return pass(p, message);
}

static enum protocol_step on_description(struct postgres *p, uint8_t type, struct bytes message,
                                         struct bytes body)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || (head->type != 'Q' && head->type != 'D')) {
        return garbage(p, "a description that was not asked for");
    }
    if (type == PG_BACKEND_PARAMETER_DESCRIPTION) {
        struct pg_oids types = {0};
        if (head->statement != NULL &&
            pg_wire_read_parameter_description(body, &types) == WIRE_OK) {
            size_t count = pg_oids_count(&types);
            uint32_t *known = calloc(count + 1, sizeof(*known));
            if (known != NULL) {
                for (size_t i = 0; i < count; i++) {
                    known[i] = pg_oids_get(&types, i);
                }
                free(head->statement->types);
                head->statement->types = known;
                head->statement->type_count = count;
            }
        }
        return pass(p, message);
    }
    if (type == PG_BACKEND_ROW_DESCRIPTION) {
        absorb(p, message, false);
    }
    if (head->type == 'D') {
        pg_queue_pop(&p->queue);
    }
    return pass(p, message);
}

static enum protocol_step on_copy(struct postgres *p, uint8_t type, struct bytes message)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || (head->type != 'Q' && head->type != 'E')) {
        return garbage(p, "COPY that was not asked for");
    }
    head->copying_in = type != PG_BACKEND_COPY_OUT;
    if (head->copying_in) {
        crypto_sha256_init(&p->digest_in);
        p->bytes_in = 0;
    }
    return pass(p, message);
}

static enum protocol_step on_setting(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_setting setting;
    if (pg_wire_read_parameter_status(body, &setting) != WIRE_OK) {
        return garbage(p, "a malformed ParameterStatus");
    }
    postgres_watch_setting(p, setting.name, setting.value);
    return pass(p, message);
}

/* What stands in the place of a refused message has no answer but an error. */
static bool is_out_of_turn(const struct postgres *p, uint8_t type)
{
    const struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || head->refusal == NULL) {
        return false;
    }
    return strchr(head->failed ? "ZNSA" : "ENSA", type) == NULL;
}

static enum protocol_step on_message(struct postgres *p, uint8_t type, struct bytes message,
                                     struct bytes body)
{
    if (is_out_of_turn(p, type)) {
        return garbage(p, "an answer to what was refused");
    }
    switch (type) {
    case PG_BACKEND_COMMAND_COMPLETE:
    case PG_BACKEND_EMPTY_QUERY:
    case PG_BACKEND_PORTAL_SUSPENDED: return on_complete(p, type, message, body);
    case PG_BACKEND_READY: return on_ready(p, message, body);
    case PG_BACKEND_ERROR: return on_error(p, message, body);
    case PG_BACKEND_PARSE_COMPLETE: return pass_and_pop(p, message, "P");
    case PG_BACKEND_BIND_COMPLETE: return pass_and_pop(p, message, "B");
    case PG_BACKEND_CLOSE_COMPLETE: return pass_and_pop(p, message, "C");
    case PG_BACKEND_ROW_DESCRIPTION:
    case PG_BACKEND_NO_DATA:
    case PG_BACKEND_PARAMETER_DESCRIPTION: return on_description(p, type, message, body);
    case PG_BACKEND_COPY_IN:
    case PG_BACKEND_COPY_OUT:
    case PG_BACKEND_COPY_BOTH: return on_copy(p, type, message);
    case PG_BACKEND_PARAMETER_STATUS: return on_setting(p, message, body);
    case PG_BACKEND_COPY_DONE:
    case PG_BACKEND_NOTICE:
    case PG_BACKEND_NOTIFICATION: return pass(p, message);
    default: return garbage(p, "a message out of place");
    }
}

/* ---- bytes
 * ------------------------------------------------------------------------------------------- */

static bool is_data(uint8_t type)
{
    return type == PG_BACKEND_DATA_ROW || type == PG_BACKEND_COPY_DATA ||
           type == PG_BACKEND_FUNCTION_RESULT;
}

static bool expects_data(const struct postgres *p, uint8_t type)
{
    const struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || head->refusal != NULL) {
        return false;
    }
    return type == PG_BACKEND_FUNCTION_RESULT ? head->type == 'F'
                                              : head->type == 'Q' || head->type == 'E';
}

/* Passes on what is here of a message that is not gathered. */
static size_t stream(struct postgres *p, struct bytes in)
{
    struct pg_stream *s = &p->from_target;
    size_t n = in.size < s->left ? in.size : s->left;
    struct bytes piece = bytes_of(in.data, n);
    if (s->hash) {
        absorb(p, piece, true);
    }
    p->link->ops->to_agent(p->link, piece);
    s->left -= (uint32_t)n;
    return n;
}

/* A run of data messages at once: the digest and the copy are made for all of it in one piece. */
static size_t pass_data(struct postgres *p, const struct pg_header *first, struct bytes in)
{
    size_t at = 0;
    struct pg_header h = *first;
    while (h.body_size <= in.size - at - PG_HEADER_SIZE) {
        at += PG_HEADER_SIZE + h.body_size;
        p->rows_unended += h.type == PG_BACKEND_DATA_ROW;
        if (pg_wire_read_header(bytes_of(in.data + at, in.size - at), &h) != WIRE_OK ||
            !is_data(h.type)) {
            break;
        }
    }
    if (at == 0) { /* the first is not whole: it is passed on as it comes */
        p->from_target =
            (struct pg_stream){.type = h.type, .left = h.body_size + PG_HEADER_SIZE, .hash = true};
        p->rows_unended += h.type == PG_BACKEND_DATA_ROW;
        return stream(p, in);
    }
    absorb(p, bytes_of(in.data, at), true);
    p->link->ops->to_agent(p->link, bytes_of(in.data, at));
    return at;
}

/* One message other than data; `*out_used` stays 0 when more bytes are needed. */
static enum protocol_step one_message(struct postgres *p, const struct pg_header *h,
                                      struct bytes in, size_t *out_used)
{
    size_t available = in.size - PG_HEADER_SIZE;
    bool is_whole = h->body_size <= available;
    if (!is_whole && available < PG_GATHER_MAX) {
        return PROTOCOL_MORE;
    }
    size_t body_size = is_whole ? h->body_size : available;
    struct bytes message = bytes_of(in.data, PG_HEADER_SIZE + body_size);
    *out_used = message.size;
    enum protocol_step step =
        on_message(p, h->type, message, bytes_of(in.data + PG_HEADER_SIZE, body_size));
    if (!is_whole) {
        p->from_target =
            (struct pg_stream){.type = h->type, .left = h->body_size - (uint32_t)body_size};
    }
    return step;
}

enum protocol_step postgres_target_bytes(struct postgres *p, struct bytes in, size_t *out_used)
{
    size_t used = 0;
    enum protocol_step step = PROTOCOL_MORE;
    while (step == PROTOCOL_MORE && used < in.size) {
        struct bytes rest = bytes_of(in.data + used, in.size - used);
        struct pg_header h;
        size_t n = 0;
        if (p->from_target.left > 0) {
            n = stream(p, rest);
        } else {
            enum wire_result r = pg_wire_read_header(rest, &h);
            if (r == WIRE_NEED_MORE) {
                break;
            }
            if (r == WIRE_MALFORMED || pg_wire_backend_kind(h.type) == NULL) {
                step = garbage(p, "bytes that are no message");
            } else if (is_data(h.type)) {
                if (!expects_data(p, h.type)) {
                    step = garbage(p, "data that was not asked for");
                } else {
                    n = pass_data(p, &h, rest);
                }
            } else {
                step = one_message(p, &h, rest, &n);
            }
        }
        if (n == 0) {
            break;
        }
        used += n;
    }
    *out_used = used;
    if (step == PROTOCOL_MORE && p->agent_ended && p->queue.count == 0) {
        return PROTOCOL_CLOSE;
    }
    return step;
}

/* ---- the end
 * ------------------------------------------------------------------------------------------ */

void postgres_abandon(struct postgres *p)
{
    (void)postgres_settings_outcome(p, CHAPERONE__V1__STATUS__UNKNOWN);
    while (p->queue.count > 0) {
        struct pg_sent *head = pg_queue_head(&p->queue);
        uint64_t operation = head->operation;
        uint64_t sequence = head->intent_sequence;
        if (head->type == 'B' && head->portal != NULL) {
            operation = head->portal->operation;
            sequence = head->portal->intent_sequence;
            head->portal->operation = 0;
        }
        if (head->refusal == NULL && operation != 0) {
            (void)postgres_outcome(p, operation, sequence, head->started_ns,
                                   CHAPERONE__V1__STATUS__UNKNOWN);
        }
        pg_queue_pop(&p->queue);
    }
    if (p->portals != NULL) {
        pg_names_clear(p->portals, postgres_drop_portal, p);
    }
}
