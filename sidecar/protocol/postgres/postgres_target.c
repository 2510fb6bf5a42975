#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* ---- answers ---- */

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

static enum protocol_step on_parsed(struct postgres *p, struct bytes message)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head != NULL && head->type == 'P') {
        uint64_t operation = head->operation;
        head->operation = 0;
        if (!postgres_outcome_alone(p, operation, head->intent_sequence,
                                    CHAPERONE__V1__STATUS__SUCCESS)) {
            return PROTOCOL_CLOSE;
        }
    }
    return pass_and_pop(p, message, "P");
}

static void count_rows(struct postgres *p, struct bytes body)
{
    struct bytes tag = {0};
    if (pg_wire_read_string(body, &tag) == WIRE_OK) {
        uint64_t rows = 0;
        postgres_copy_text(p->tag, sizeof(p->tag), tag);
        if (pg_tag_rows(tag, &rows)) {
            p->rows += rows;
        }
        p->rows_unended = 0; /* the tag counts them */
    }
}

/* Rows beyond the limit were left out: that is said, once. */
static bool tell_of_cut(struct postgres *p, const struct pg_sent *head)
{
    char text[160];
    if (p->rows_cut == 0 || p->cut_is_told) {
        return true;
    }
    (void)snprintf(text, sizeof(text), "the policy lets you see %llu rows; %llu more are left out",
                   (unsigned long long)head->max_rows, (unsigned long long)p->rows_cut);
    const struct pg_message notice = {
        .severity = "WARNING", .sqlstate = PG_SQLSTATE_WARNING, .message = text};
    p->cut_is_told = true;
    return postgres_send(p, SIDE_AGENT, pg_write_notice(&p->out, &notice)) == PROTOCOL_MORE;
}

/* CommandComplete, EmptyQueryResponse, PortalSuspended. */
static enum protocol_step on_complete(struct postgres *p, uint8_t type, struct bytes message,
                                      struct bytes body)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || (head->type != 'Q' && head->type != 'E')) {
        return garbage(p, "the end of a command that was not asked for");
    }
    if (!postgres_result_end(p, head)) {
        return garbage(p, "data that ends within a row");
    }
    if (type == PG_BACKEND_COMMAND_COMPLETE) {
        count_rows(p, body);
        postgres_apply_names(p, head);
    }
    if (!tell_of_cut(p, head)) {
        return PROTOCOL_CLOSE;
    }
    if (head->type == 'Q') {
        head->statements_done++;
        head->copying = PG_COPY_NONE;
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
    postgres_answer_reset(p);
    p->last_operation = 0;
    p->transaction = status;
    if (status == 'I') {
        pg_names_clear_unheld(p->portals, pg_queue_answered(&p->queue), postgres_drop_portal, p);
    }
    postgres_masking_ready(p);
    pg_queue_pop(&p->queue);
    pg_queue_settle(&p->queue);
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
                pg_statement_describe(head->statement, known, count);
            }
        }
        return pass(p, message);
    }
    bool is_own = head->is_own;
    if (type == PG_BACKEND_ROW_DESCRIPTION) {
        if ((head->type == 'Q' || head->portal != NULL) &&
            !postgres_result_describe(p, head, body)) {
            return garbage(p, "a malformed description");
        }
        postgres_absorb(p, message, false);
    }
    if (head->type == 'D') {
        pg_queue_pop(&p->queue);
    }
    return is_own ? PROTOCOL_MORE : pass(p, message);
}

static enum protocol_step on_copy(struct postgres *p, uint8_t type, struct bytes message,
                                  struct bytes body)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    if (head == NULL || (head->type != 'Q' && head->type != 'E')) {
        return garbage(p, "COPY that was not asked for");
    }
    bool is_in = type != PG_BACKEND_COPY_OUT;
    if (is_in && !pg_queue_drop_syncs(&p->queue)) {
        return postgres_violation(p, postgres_amid_copy);
    }
    head->copying = is_in ? PG_COPY_IN : PG_COPY_NONE;
    p->batch_open = p->batch_open || (is_in && head->type == 'E'); /* its Sync was ignored */
    if (type == PG_BACKEND_COPY_OUT && !postgres_result_copy(p, head, body)) {
        return postgres_fatal(p, PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
                              "the data of this COPY cannot be masked", "masking_failed");
    }
    if (is_in) {
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
    bool hides = false;
    struct bytes shown = postgres_result_setting(p, &setting, message, &hides);
    if (hides) {
        return PROTOCOL_MORE;
    }
    return shown.size == 0 ? garbage(p, "a setting that cannot be masked") : pass(p, shown);
}

/* Notices and notifications. */
static enum protocol_step pass_words(struct postgres *p, struct bytes message, struct bytes body)
{
    struct bytes words = postgres_result_words(p, pg_queue_head(&p->queue), message, body);
    return words.size == 0 ? garbage(p, "a malformed notice") : pass(p, words);
}

/* Whether the target has thrown away what was sent in the midst of a COPY, or will answer it, is
 * not the same with all of its versions. */
static bool is_broken_copy(const struct postgres *p)
{
    const struct pg_sent *head = pg_queue_head(&p->queue);
    return head != NULL && head->copying == PG_COPY_BROKEN;
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
    case PG_BACKEND_ERROR:
        return is_broken_copy(p) ? postgres_violation(p, postgres_amid_copy)
                                 : postgres_on_error(p, message, body);
    case PG_BACKEND_PARSE_COMPLETE: return on_parsed(p, message);
    case PG_BACKEND_BIND_COMPLETE: return pass_and_pop(p, message, "B");
    case PG_BACKEND_CLOSE_COMPLETE: return pass_and_pop(p, message, "C");
    case PG_BACKEND_ROW_DESCRIPTION:
    case PG_BACKEND_NO_DATA:
    case PG_BACKEND_PARAMETER_DESCRIPTION: return on_description(p, type, message, body);
    case PG_BACKEND_COPY_IN:
    case PG_BACKEND_COPY_OUT:
    case PG_BACKEND_COPY_BOTH: return on_copy(p, type, message, body);
    case PG_BACKEND_PARAMETER_STATUS: return on_setting(p, message, body);
    case PG_BACKEND_NOTICE:
    case PG_BACKEND_NOTIFICATION: return pass_words(p, message, body);
    case PG_BACKEND_COPY_DONE: return pass(p, message);
    default: return garbage(p, "a message out of place");
    }
}

/* ---- bytes ---- */

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
        postgres_absorb(p, piece, true);
    }
    p->link->ops->to_agent(p->link, piece);
    s->left -= (uint32_t)n;
    return n;
}

static enum protocol_step masking_failed(struct postgres *p, enum err e)
{
    return postgres_fatal(p, PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
                          e == ERR_LIMIT ? "a row of the result is too large to be masked"
                                         : "a row of the result cannot be masked",
                          "masking_failed");
}

static void show(struct postgres *p, struct bytes b)
{
    if (b.size > 0) {
        postgres_absorb(p, b, true);
        p->link->ops->to_agent(p->link, b);
    }
}

/* Of what was masked: as many messages as keep their place go on as one piece; from the first other
 * one on all are gathered in p->masked. */
static enum err gather(struct postgres *p, struct bytes message, bool stays, struct bytes *io_run)
{
    if (stays && buffer_size(&p->masked) == 0) {
        *io_run = io_run->size == 0 ? message : bytes_of(io_run->data, io_run->size + message.size);
        return OK;
    }
    show(p, *io_run);
    *io_run = (struct bytes){0};
    return stays ? buffer_append(&p->masked, message) : OK;
}

/* Data messages that are looked at one by one, as many as are whole. Those whose values keep their
 * lengths are masked where they stand (protocol.h: the bytes are ours). */
static enum protocol_step mask_data(struct postgres *p, struct pg_sent *head, struct bytes in,
                                    size_t *out_used)
{
    size_t at = 0;
    enum err e = OK;
    struct pg_header h;
    struct bytes run = {0};
    buffer_clear(&p->masked);
    while (e == OK && pg_wire_read_header(bytes_of(in.data + at, in.size - at), &h) == WIRE_OK &&
           is_data(h.type) && buffer_size(&p->masked) < PG_MASKED_GOAL) {
        if (h.body_size > MASKER_ROW_MAX) {
            e = ERR_LIMIT;
        } else if (h.body_size > in.size - at - PG_HEADER_SIZE) {
            break;
        } else {
            struct bytes message = bytes_of(in.data + at, PG_HEADER_SIZE + h.body_size);
            bool stays = false;
            p->rows_unended += h.type == PG_BACKEND_DATA_ROW;
            e = postgres_result_message(p, head, h.type, (uint8_t *)(uintptr_t)message.data,
                                        message.size, &stays);
            e = e == OK ? gather(p, message, stays, &run) : e;
            at += message.size;
        }
    }
    if (e != OK) {
        return masking_failed(p, e);
    }
    *out_used = at;
    show(p, run);
    show(p, buffer_bytes(&p->masked));
    return PROTOCOL_MORE;
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
    postgres_absorb(p, bytes_of(in.data, at), true);
    p->link->ops->to_agent(p->link, bytes_of(in.data, at));
    return at;
}

/* One message other than data; `*out_used` stays 0 when more bytes are needed. */
static enum protocol_step one_message(struct postgres *p, const struct pg_header *h,
                                      struct bytes in, size_t *out_used)
{
    size_t available = in.size - PG_HEADER_SIZE;
    bool is_whole = h->body_size <= available;
    /* What is masked is looked at whole. */
    size_t gather = p->masking.masks == NULL ? PG_GATHER_MAX : MASKER_ROW_MAX;
    if (!is_whole && available < gather) {
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

/* Whether it is for the agent whatever is being answered. A notice belongs to what is answered: of
 * a dry run it would tell what the statement does before anybody has allowed it. */
static bool is_asynchronous(const struct postgres *p, uint8_t type)
{
    return type == PG_BACKEND_NOTIFICATION || type == PG_BACKEND_PARAMETER_STATUS ||
           (type == PG_BACKEND_NOTICE && !postgres_prediction_is_running(p));
}

/* One message of what we asked ourselves. A FATAL error is the session's end, as always. */
static enum protocol_step answer_inquiry(struct postgres *p, const struct pg_header *h,
                                         struct bytes in, size_t *out_used)
{
    if (h->body_size > MASKER_ROW_MAX) {
        return garbage(p, "too large a row of the catalog");
    }
    if (h->body_size > in.size - PG_HEADER_SIZE) {
        return PROTOCOL_MORE;
    }
    *out_used = PG_HEADER_SIZE + h->body_size;
    struct bytes body = bytes_of(in.data + PG_HEADER_SIZE, h->body_size);
    return postgres_inquiry_is_running(p)
               ? postgres_inquiry_answer(p, h->type, body)
               : postgres_prediction_answer(p, h->type, bytes_of(in.data, *out_used), body);
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
            } else if ((postgres_inquiry_is_running(p) || postgres_prediction_is_running(p)) &&
                       !is_asynchronous(p, h.type)) {
                step = answer_inquiry(p, &h, rest, &n);
            } else if (is_data(h.type)) {
                if (!expects_data(p, h.type)) {
                    step = garbage(p, "data that was not asked for");
                } else if (postgres_result_is_masked(p, pg_queue_head(&p->queue))) {
                    step = mask_data(p, pg_queue_head(&p->queue), rest, &n);
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
