#include "sidecar/protocol/postgres/postgres_queue.h"

#include <stdlib.h>
#include <string.h>

enum { FIRST_CAPACITY = 8 };

/* Types of messages that end no transaction block, and begin none. */
static const uint8_t quiet[] = {'P', 'B', 'D', 'C', 'S'};
/* Those that ReadyForQuery answers. */
static const uint8_t ending[] = {'Q', 'F', 'S'};

void pg_sent_finish(struct pg_sent *sent)
{
    free(sent->refusal);
    free(sent->name);
    pg_statement_unref(sent->statement);
    pg_statement_unref(sent->previous_statement);
    pg_portal_unref(sent->portal);
    pg_portal_unref(sent->previous_portal);
    pg_plan_unref(sent->plan);
    pg_effects_destroy(sent->effects);
    *sent = (struct pg_sent){0};
}

void pg_queue_finish(struct pg_queue *q)
{
    while (q->count > 0) {
        pg_queue_pop(q);
    }
    free(q->ring);
    *q = (struct pg_queue){0};
}

static bool grow(struct pg_queue *q)
{
    size_t capacity = q->capacity == 0 ? FIRST_CAPACITY : 2 * q->capacity;
    struct pg_sent *ring = calloc(capacity, sizeof(*ring));
    if (ring == NULL) {
        return false;
    }
    for (size_t i = 0; i < q->count; i++) {
        ring[i] = *pg_queue_at(q, i);
    }
    free(q->ring);
    q->ring = ring;
    q->first = 0;
    q->capacity = capacity;
    return true;
}

struct pg_sent *pg_queue_push(struct pg_queue *q, uint8_t type)
{
    if (pg_queue_is_full(q) || (q->count == q->capacity && !grow(q))) {
        return NULL;
    }
    struct pg_sent *sent = pg_queue_at(q, q->count);
    *sent = (struct pg_sent){.type = type};
    q->count++;
    q->pushed++;
    if (memchr(quiet, type, sizeof(quiet)) == NULL) {
        q->mover = q->pushed;
    }
    q->synced = type == 'S' ? q->pushed : q->synced;
    if (memchr(ending, type, sizeof(ending)) != NULL) {
        q->ready = q->pushed;
    }
    return sent;
}

struct pg_sent *pg_queue_push_within(struct pg_queue *q, uint8_t type)
{
    uint64_t mover = q->mover;
    struct pg_sent *sent = pg_queue_push(q, type);
    q->mover = mover;
    return sent;
}

void pg_queue_set_statement(struct pg_queue *q, struct pg_sent *sent,
                            struct pg_statement *statement)
{
    sent->statement = statement;
    statement->sent = q->pushed;
    q->text_size += statement->text_size;
}

void pg_queue_set_effects(struct pg_queue *q, struct pg_sent *sent, struct pg_effects *effects)
{
    sent->effects = effects;
    q->namings += effects != NULL;
}

bool pg_queue_drop_syncs(struct pg_queue *q)
{
    for (size_t i = 1; i < q->count; i++) {
        if (pg_queue_at(q, i)->type != 'S') {
            return false;
        }
    }
    if (q->count > 1) { /* it is as if they had never been pushed */
        q->pushed -= q->count - 1;
        q->count = 1;
        q->synced = 0;
        q->ready = q->ready < q->pushed ? q->ready : q->pushed;
        q->ready = memchr(ending, pg_queue_at(q, 0)->type, sizeof(ending)) == NULL ? 0 : q->ready;
    }
    return true;
}

void pg_queue_pop(struct pg_queue *q)
{
    struct pg_sent *head = pg_queue_head(q);
    q->namings -= head->effects != NULL;
    if (head->type == 'P' && head->statement != NULL) {
        q->text_size -= head->statement->text_size;
    }
    pg_sent_finish(head);
    q->first = (q->first + 1) & (q->capacity - 1);
    q->count--;
}

void pg_queue_settle(struct pg_queue *q)
{
    q->settled = pg_queue_answered(q);
}
