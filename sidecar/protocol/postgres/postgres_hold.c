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

bool postgres_bind_approval(const struct pg_operation *op, struct arena *scratch,
                            struct protocol_binding *out)
{
    char shape[SQL_SHAPE_SIZE];
    struct crypto_sha256 h;
    crypto_sha256_init(&h);
    hash_text(&h, bytes_of_string("chaperone postgres operation v1"));
    hash_text(&h, bytes_of_string(op->verb));
    hash_text(&h, op->text);
    hash_number(&h, op->type_count);
    for (size_t i = 0; i < op->type_count; i++) {
        hash_number(&h, op->types[i]);
    }
    hash_text(&h, op->values);
    crypto_sha256_finish(&h, out->digest);
    sql_shape(op->text, shape);
    out->shape = arena_copy_string(scratch, bytes_of_string(shape));
    return out->shape != NULL;
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
                                      .hint = "Cancel it to stop waiting."};
    (void)postgres_send(p, SIDE_AGENT, pg_write_notice(&p->out, &notice));
}

void postgres_hold(struct postgres *p, const struct pg_operation *op,
                   const struct protocol_hold *hold)
{
    if (hold->is_new) {
        p->is_held = true;
        p->notice_due = hold->tells;
        postgres_prediction_start(p, op, hold);
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
