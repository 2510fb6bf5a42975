/* An error of the target: whose it is, and what the server skips after it. */
#include "sidecar/protocol/postgres/postgres_internal.h"

void postgres_copy_text(char *out, size_t size, struct bytes text)
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
    postgres_copy_text(p->error_code, sizeof(p->error_code), code);
    postgres_copy_text(p->error, sizeof(p->error), message);
}

static bool is_of_statement(const struct pg_sent *sent)
{
    return sent->type == 'P' || (sent->type == 'C' && sent->close_kind == 'S');
}

static bool is_of_portal(const struct pg_sent *sent)
{
    return sent->type == 'B' || (sent->type == 'C' && sent->close_kind == 'P');
}

struct pg_sent *postgres_find_naming(struct postgres *p, bool is_statement, struct bytes name,
                                     size_t from)
{
    for (size_t i = from; i < p->queue.count; i++) {
        struct pg_sent *sent = pg_queue_at(&p->queue, i);
        if (sent->refusal == NULL && (is_statement ? is_of_statement(sent) : is_of_portal(sent)) &&
            pg_names_are_same(bytes_of_string(sent->name), name)) {
            return sent;
        }
    }
    return NULL;
}

/* What the first one of the same name, from there on, would bring back, if that is what `sent` had
 * made of it. NULL: nothing. */
static void **find_previous(struct postgres *p, const struct pg_sent *sent, size_t from)
{
    bool is_statement = is_of_statement(sent);
    const void *made = sent->type == 'C' ? NULL
                       : is_statement    ? (void *)sent->statement
                                         : (void *)sent->portal;
    struct bytes name = bytes_of_string(sent->name);
    if (from == p->queue.count ||
        pg_names_find(is_statement ? p->statements : p->portals, name) == made) {
        return NULL;
    }
    struct pg_sent *later = postgres_find_naming(p, is_statement, name, from);
    void **previous = later == NULL  ? NULL
                      : is_statement ? (void **)&later->previous_statement
                                     : (void **)&later->previous_portal;
    return previous != NULL && *previous == made ? previous : NULL;
}

/* What a later batch replaced was never there: what was there before is what it replaced. */
static bool pass_on(struct postgres *p, struct pg_sent *sent, size_t from)
{
    void **place = find_previous(p, sent, from);
    if (place == NULL) {
        return false;
    }
    void *made = *place;
    if (is_of_statement(sent)) {
        *place = sent->previous_statement;
        sent->previous_statement = NULL;
        pg_statement_unref(made);
    } else {
        *place = sent->previous_portal;
        sent->previous_portal = NULL;
        pg_portal_unref(made);
    }
    return true;
}

void postgres_take_back(struct postgres *p, struct pg_sent *sent, size_t behind)
{
    struct bytes name = bytes_of_string(sent->name);
    bool is_naming = sent->refusal == NULL && (is_of_statement(sent) || is_of_portal(sent));
    if (!is_naming || pass_on(p, sent, behind)) {
        return;
    }
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

static bool skip_one(struct postgres *p, struct pg_sent *sent, size_t behind)
{
    bool recorded = true;
    if (sent->refusal == NULL) {
        struct pg_portal *portal = sent->portal;
        if (sent->type == 'B' && portal != NULL) {
            recorded = postgres_outcome_alone(p, portal->operation, portal->intent_sequence,
                                              CHAPERONE__V1__STATUS__NOT_EXECUTED);
            portal->operation = 0;
        } else if (sent->operation != 0) {
            recorded = postgres_outcome_alone(p, sent->operation, sent->intent_sequence,
                                              CHAPERONE__V1__STATUS__NOT_EXECUTED);
        }
    }
    postgres_take_back(p, sent, behind);
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
        recorded = skip_one(p, pg_queue_at(&p->queue, i - 1), n) && recorded;
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
    } else if (head->type == 'P' && head->operation != 0) {
        recorded = postgres_outcome(p, head->operation, head->intent_sequence, head->started_ns,
                                    CHAPERONE__V1__STATUS__FAILED);
        head->operation = 0;
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

enum protocol_step postgres_on_error(struct postgres *p, struct bytes message, struct bytes body)
{
    struct pg_sent *head = pg_queue_head(&p->queue);
    p->fatal_sent = p->fatal_sent || is_fatal(body);
    message = postgres_result_words(p, head, message, body);
    if (message.size < PG_HEADER_SIZE) {
        return postgres_fatal(p, PG_SQLSTATE_PROTOCOL_VIOLATION,
                              "an error of the target cannot be shown", "masking_failed");
    }
    body = bytes_of(message.data + PG_HEADER_SIZE, message.size - PG_HEADER_SIZE);
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
        postgres_answer_reset(p);
    }
    return recorded ? PROTOCOL_MORE : PROTOCOL_CLOSE;
}
