/* What was sent to the target and is not answered yet, in order: a ring that grows to a cap.
 *
 * The answers of PostgreSQL come in the order of the messages; after an error in the extended
 * protocol everything up to the next Sync is skipped by the server, without an answer. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_QUEUE_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_QUEUE_H

#include "sidecar/protocol/postgres/postgres_names.h"

/* More than this many unanswered messages: the agent is not read until some are answered. The
 * server answers without being asked to flush once 8 KiB of answers have gathered, at the latest
 * after 1,700 of them. */
enum {
    PG_QUEUE_MAX = 4096,
    PG_QUEUE_OWN = 1, /* in place of a message's type: a question of our own */
};

/* How far a COPY FROM STDIN is. */
enum pg_copying {
    PG_COPY_NONE,
    PG_COPY_IN,     /* the target reads CopyData, and ignores Sync and Flush */
    PG_COPY_ENDED,  /* CopyDone or CopyFail was sent */
    PG_COPY_BROKEN, /* something else was: the target ends the COPY, and maybe the session */
};

struct pg_sent {
    uint8_t type;       /* the message's: 'Q', 'P', 'B', 'D', 'E', 'C', 'S', 'F'; or PG_QUEUE_OWN */
    uint8_t close_kind; /* of 'C': 'S' or 'P' */
    uint8_t copying;    /* of 'Q' and 'E': enum pg_copying */
    bool failed;        /* of 'Q' and 'F': an error came, ReadyForQuery did not */
    bool is_own;        /* of 'D': we asked, the agent does not hear of the answer */
    /* A refusal: the message that went to the target in its place fails there, and its error is
     * replaced by this one. Owned; NULL: an ordinary message. */
    uint8_t *refusal;
    size_t refusal_size;
    /* What the message made and what that name meant before; owned references. */
    struct pg_statement *statement, *previous_statement;
    struct pg_portal *portal, *previous_portal;
    char *name; /* of statement or portal; owned; NULL: "" */
    uint64_t operation, intent_sequence;
    int64_t started_ns;
    size_t statements_done;     /* of 'Q': how many of its text are answered */
    struct pg_plan *plan;       /* of 'Q': owned reference; NULL: nothing is masked */
    struct pg_effects *effects; /* of 'Q' and 'E'; owned */
    uint64_t max_rows;          /* of 'Q' and 'E'; 0: all */
    bool without_results;
};

struct pg_queue {
    struct pg_sent *ring;
    size_t first, count, capacity;
    size_t text_size; /* of the statements of the Parses in it */
    size_t namings;   /* messages in it that have effects on names */
    /* All that were ever pushed are numbered from 1: the last one that may end a transaction or
     * begin one, and the last whose ReadyForQuery has come. */
    uint64_t pushed, mover, settled;
    uint64_t synced; /* the last Sync */
    uint64_t ready;  /* the last one that ReadyForQuery answers: 'Q', 'F', 'S' */
};

void pg_queue_finish(struct pg_queue *q); /* frees everything, without looking at it */

static inline size_t pg_queue_room(const struct pg_queue *q)
{
    return PG_QUEUE_MAX - q->count;
}
static inline bool pg_queue_is_full(const struct pg_queue *q)
{
    return pg_queue_room(q) == 0;
}

/* A zeroed entry at the end; NULL: no memory, or full. Valid until the next push. It counts as one
 * that may end a transaction or begin one, unless no message of its type does so: 'P', 'B', 'D',
 * 'C', and 'S', which does so only where there is no transaction block. */
struct pg_sent *pg_queue_push(struct pg_queue *q, uint8_t type) MUST_USE;
/* The same for a message that is known to leave an open transaction block open. */
struct pg_sent *pg_queue_push_within(struct pg_queue *q, uint8_t type) MUST_USE;
static inline struct pg_sent *pg_queue_at(const struct pg_queue *q, size_t index)
{
    return &q->ring[(q->first + index) & (q->capacity - 1)];
}
/* NULL: empty. */
static inline struct pg_sent *pg_queue_head(const struct pg_queue *q)
{
    return q->count == 0 ? NULL : pg_queue_at(q, 0);
}
/* The number of the last message that is answered, or skipped. */
static inline uint64_t pg_queue_answered(const struct pg_queue *q)
{
    return q->pushed - q->count;
}
/* Whether the message with that number may turn out to have been skipped, or to have failed, and
 * what is sent next is not: a Sync lies between the two. 0: it was none. */
static inline bool pg_queue_is_open(const struct pg_queue *q, uint64_t number)
{
    return number > pg_queue_answered(q) && number < q->synced;
}
/* Gives a Parse in the queue its statement, a reference of which is taken. */
void pg_queue_set_statement(struct pg_queue *q, struct pg_sent *sent,
                            struct pg_statement *statement);
/* Gives a message in the queue its effects, which are taken. */
void pg_queue_set_effects(struct pg_queue *q, struct pg_sent *sent, struct pg_effects *effects);
/* Takes out every Sync behind the head: the target has ignored them. False: something else is
 * behind it, too. */
bool pg_queue_drop_syncs(struct pg_queue *q) MUST_USE;
/* Frees the head's content and takes it out. */
void pg_queue_pop(struct pg_queue *q);
/* ReadyForQuery came for the one that was popped last. */
void pg_queue_settle(struct pg_queue *q);
/* Whether a transaction block that was open then is still open, or failed, when all that was sent
 * is done. */
static inline bool pg_queue_is_settled(const struct pg_queue *q)
{
    return q->mover <= q->settled;
}
void pg_sent_finish(struct pg_sent *sent);

#endif
