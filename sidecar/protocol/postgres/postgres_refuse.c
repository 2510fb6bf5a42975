#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* A message that PostgreSQL's parser rejects, in the place of the one that is refused: so the
 * transaction's state, what is skipped up to Sync, and the order of the answers are always the
 * server's own (docs/adr/0003-refusals.md). Only its error is replaced. */
static const char substitute[] = "chaperone_refused_this_statement";

static enum protocol_step answer_here(struct postgres *p, const struct pg_message *error)
{
    enum err e = pg_write_error(&p->out, error);
    if (e == OK) {
        e = pg_write_ready(&p->out, p->transaction);
    }
    return postgres_send(p, SIDE_AGENT, e);
}

static bool keep_refusal(struct postgres *p, struct pg_sent *sent, const struct pg_message *error)
{
    if (pg_write_error(&p->out, error) != OK) {
        return false;
    }
    struct bytes b = buffer_bytes(&p->out);
    sent->refusal = malloc(b.size);
    if (sent->refusal != NULL) {
        memcpy(sent->refusal, b.data, b.size);
        sent->refusal_size = b.size;
    }
    buffer_clear(&p->out);
    return sent->refusal != NULL;
}

enum protocol_step postgres_refuse(struct postgres *p, uint8_t type,
                                   const struct pg_refusal *refusal)
{
    const struct pg_message error = {
        .severity = "ERROR",
        .sqlstate = refusal->sqlstate,
        .message = refusal->message,
        .detail = refusal->detail,
        .hint = refusal->hint,
        .position = refusal->position,
    };
    bool is_simple = type == PG_FRONTEND_QUERY || type == PG_FRONTEND_FUNCTION_CALL;
    if (is_simple && p->transaction == 'I' && p->queue.count == 0 && !p->batch_open) {
        return answer_here(p, &error); /* nothing is open at the target: it need not know */
    }
    struct pg_sent *sent = pg_queue_push(&p->queue, type);
    if (sent == NULL || !keep_refusal(p, sent, &error)) {
        return PROTOCOL_CLOSE;
    }
    /* What follows up to Sync is skipped by the server: it need not be sent, and is no operation.
     */
    p->skipping = p->skipping || !is_simple;
    p->batch_open = p->batch_open || !is_simple;
    struct bytes text = bytes_of_string(substitute);
    /* A Parse of a name of its own: the unnamed statement stays what it is. */
    return postgres_send(p, SIDE_TARGET,
                         is_simple ? pg_write_query(&p->out, text)
                                   : pg_write_parse(&p->out, text, text, NULL, 0));
}
