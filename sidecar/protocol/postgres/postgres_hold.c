/* Operations that people decide about: what their approval covers, what the agent hears. */
#include <stdio.h>

#include "sidecar/protocol/postgres/postgres_internal.h"
#include "sidecar/sql/sql_shape.h"

static void hash_number(struct crypto_sha256 *h, uint64_t number)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)(number >> (56 - 8 * i));
    }
    crypto_sha256_update(h, bytes_of(bytes, sizeof(bytes)));
}

static void hash_text(struct crypto_sha256 *h, struct bytes text)
{
    hash_number(h, text.size);
    crypto_sha256_update(h, text);
}

/* Not only what the last ReadyForQuery said: what was sent since then may have begun a transaction,
 * and what a batch has run is not committed before its Sync. */
static bool may_hold_locks(const struct postgres *p)
{
    bool may = p->transaction != 'I' || p->last_operation != 0;
    for (size_t i = 0; !may && i < p->queue.count; i++) {
        uint8_t type = pg_queue_at(&p->queue, i)->type;
        may = type == PG_FRONTEND_QUERY || type == PG_FRONTEND_EXECUTE ||
              type == PG_FRONTEND_FUNCTION_CALL;
    }
    return may;
}

static bool make_binding(struct protocol_binding *out)
{
    const struct pg_binding *b = (const struct pg_binding *)out;
    const struct postgres *p = b->p;
    const struct pg_operation *op = b->op;
    char shape[SQL_SHAPE_SIZE];
    struct crypto_sha256 h;
    crypto_sha256_init(&h);
    hash_text(&h, bytes_of_string("chaperone postgres operation v1"));
    hash_text(&h, bytes_of_string(op->verb));
    hash_text(&h, op->text);
    /* Not those that the target made known since: the same message is the same operation. */
    hash_number(&h, op->declared_count);
    for (size_t i = 0; i < op->declared_count; i++) {
        hash_number(&h, op->declared[i]);
    }
    hash_text(&h, op->values);
    bool has_followed = op->function == NULL && p->has_followed;
    if (has_followed) {
        uint8_t texts[32];
        struct crypto_sha256 followed = p->followed_texts;
        crypto_sha256_finish(&followed, texts);
        hash_text(&h, bytes_of(texts, sizeof(texts)));
    }
    crypto_sha256_finish(&h, out->digest);
    sql_shape(op->text, shape);
    if (has_followed) {
        shape[0] = '\0'; /* another one may have the name next time */
    }
    out->may_hold_locks = may_hold_locks(p);
    out->shape = arena_copy_string(p->shared->scratch, bytes_of_string(shape));
    return out->shape != NULL;
}

void postgres_bind_approval(struct postgres *p, const struct pg_operation *op,
                            struct pg_binding *out)
{
    *out = (struct pg_binding){.base.make = make_binding, .p = p, .op = op};
}

/* ---- the agent is told ---------------------------------------------------------------------- */

static void tell(struct postgres *p, const struct protocol_hold *hold)
{
    char text[400], detail[120];
    if (!p->notice_due || p->from_target.left > 0) {
        return; /* in the midst of a message there is no place for another */
    }
    p->notice_due = false;
    (void)snprintf(text, sizeof(text), "the statement waits for approval by %.300s", hold->who);
    (void)snprintf(detail, sizeof(detail), "Approval %s; it ends in %lld seconds.", hold->id,
                   (long long)hold->lifetime_s);
    const struct pg_message notice = {.severity = "NOTICE",
                                      .sqlstate = PG_SQLSTATE_SUCCESS,
                                      .message = text,
                                      .detail = detail,
                                      .hint = hold->message == NULL || hold->message[0] == '\0'
                                                  ? "Cancel it to stop waiting."
                                                  : hold->message};
    (void)postgres_send(p, SIDE_AGENT, pg_write_notice(&p->out, &notice));
}

void postgres_hold(struct postgres *p, const struct pg_operation *op, bool may_hold_locks,
                   const struct protocol_hold *hold)
{
    if (hold->is_new) {
        p->is_held = true;
        p->notice_due = hold->tells;
        postgres_prediction_start(p, op, may_hold_locks, hold);
    }
    tell(p, hold);
}

void postgres_hold_forget(struct postgres *p, const char *why)
{
    if (p->is_held) {
        p->is_held = false;
        postgres_prediction_finish(p);
        (void)p->link->ops->withdraw(p->link, why, true);
    }
}
