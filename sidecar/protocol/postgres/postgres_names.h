/* The prepared statements and portals of one session, as the server has them once it has worked
 * off everything that was sent.
 *
 * Both are counted: a name in the map holds one reference, each message that is not answered yet
 * another. A map changes when the message is sent; the queue takes it back when the message
 * fails or is skipped (postgres_queue.h). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_NAMES_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_NAMES_H

#include "sidecar/protocol/postgres/pg_plan.h"
#include "sidecar/protocol/postgres/pg_result.h"
#include "sidecar/protocol/postgres/pg_wire.h"

enum {
    /* All texts of one session's prepared statements together, and so those of its portals, and of
     * what is to be named by SQL. A driver keeps some hundreds of them, of some kilobytes. */
    PG_NAMES_TEXT_MAX = 8 << 20,
    PG_NAMES_COUNT_MAX = 16384,
};

/* A session's statements and portals come and go with each operation: the memory of the last one of
 * each kind stays for the next, without what was in it. */
struct pg_spares {
    struct pg_statement *statement; /* owned */
    struct pg_portal *portal;       /* owned */
    struct pg_result *result;       /* owned; of a portal or of a Query */
};

/* After the last statement and portal that were made with it. */
void pg_spares_finish(struct pg_spares *spares);

struct pg_statement {
    int references;
    uint64_t sent;          /* which message of the queue made it; 0: none, or it has not left */
    struct pg_spares *home; /* borrows; NULL: none */
    size_t capacity;        /* of the memory behind the struct: declared types, types, text */
    char *text;             /* NUL-terminated; in that memory */
    size_t text_size;
    uint32_t *types; /* of the parameters, 0: not known; there too, or in `described` */
    size_t type_count;
    uint32_t *described; /* as the target named them; owned; NULL: it was not asked */
    uint32_t *declared;  /* the same as its Parse had them: what was sent stays what it was */
    size_t declared_count;
    struct pg_plan *plan; /* as last asked for by an EXECUTE; owned reference */
};

/* What a text does with names by SQL (PREPARE, DECLARE, ...), until the server has done it. */
struct pg_effect {
    uint8_t kind;                  /* enum sql_naming_kind */
    size_t statement;              /* which one of the text */
    char *name;                    /* NULL: all; owned */
    struct pg_statement *prepared; /* owned reference */
    struct pg_portal *cursor;      /* owned reference */
};

struct pg_effects {
    size_t text_size; /* of the queries that it names */
    size_t *total;    /* borrows: of all of the session that there are */
    size_t count;
    struct pg_effect items[];
};

void pg_effects_destroy(struct pg_effects *e); /* takes NULL */

enum pg_portal_state { PG_PORTAL_BOUND, PG_PORTAL_RUNNING, PG_PORTAL_DONE };

struct pg_portal {
    int references;
    uint64_t sent;                  /* likewise */
    struct pg_spares *home;         /* borrows; NULL: none */
    struct pg_statement *statement; /* owned reference */
    enum pg_portal_state state;
    /* The operation that Bind announced; 0 once it has its outcome. */
    uint64_t operation, intent_sequence;
    int64_t started_ns;
    uint64_t bytes_in; /* streamed values; the digest is of the whole Bind body */
    uint8_t digest_in[32];
    uint64_t bound;       /* as postgres.bound was then, with this one */
    bool reads_otherwise; /* its text may change how the target reads bytes */
    bool is_held;         /* a cursor WITH HOLD: it outlives its transaction */
    bool is_described;    /* a Describe was sent: the answer comes before the first row */
    uint64_t max_rows;    /* that the agent may see of one run; 0: all */
    bool without_results;
    bool changes_catalog;       /* or what names mean: pg_meaning.changes of its text */
    bool is_transactional;      /* its text: sql_is_transactional */
    bool follows_names;         /* its text runs what SQL's names stand for when it is executed */
    uint64_t names;             /* pg_names_changes of both maps when it was decided */
    uint64_t policy;            /* protocol_masks.version then: it changes with each policy */
    struct pg_plan *plan;       /* what is masked of its rows; owned reference; NULL: nothing */
    struct pg_result *result;   /* its columns, once described; owned */
    struct pg_effects *effects; /* of its statement, until it runs; owned */
};

/* Takes nothing; returns one reference. NULL when memory is short. `home` may be NULL. */
struct pg_statement *pg_statement_create(struct pg_spares *home, struct bytes text,
                                         const struct pg_oids *types) MUST_USE;
/* Takes `types`, on the heap: what the target says of the parameters. */
void pg_statement_describe(struct pg_statement *s, uint32_t *types, size_t count);
struct pg_statement *pg_statement_ref(struct pg_statement *s); /* takes NULL */
void pg_statement_unref(struct pg_statement *s);               /* takes NULL */

struct pg_portal *pg_portal_create(struct pg_spares *home, struct pg_statement *statement) MUST_USE;
struct pg_portal *pg_portal_ref(struct pg_portal *p); /* takes NULL */
void pg_portal_unref(struct pg_portal *p);            /* takes NULL */

/* A map from names to counted objects of one kind. */
struct pg_names;

enum pg_names_kind { PG_NAMES_STATEMENTS, PG_NAMES_PORTALS };

void *pg_names_find(const struct pg_names *names, struct bytes name); /* borrows; NULL: none */

struct pg_names *pg_names_create(enum pg_names_kind kind) MUST_USE;
void pg_names_destroy(struct pg_names *names); /* takes NULL */

/* Puts `object` (a reference is taken; NULL removes the name) and gives what was there in
 * `*out_previous` (owned reference, NULL: nothing). ERR_LIMIT: PG_NAMES_COUNT_MAX or
 * PG_NAMES_TEXT_MAX. */
enum err pg_names_put(struct pg_names *names, struct bytes name, void *object,
                      void **out_previous) MUST_USE;
/* Takes back a put of `object` (NULL: of a removal): the name means `previous` again, unless it
 * has been put once more since then. Takes the reference of `previous`. */
void pg_names_restore(struct pg_names *names, struct bytes name, const void *object,
                      void *previous);
/* Removes all portals but those that are held, and those of a Bind that is not `answered` (the
 * number of the last message that is): the server has not come to them yet. `fn` as below. */
void pg_names_clear_unheld(struct pg_names *names, uint64_t answered,
                           void (*fn)(void *context, void *object), void *context);
/* As the server tells them apart. */
bool pg_names_are_same(struct bytes a, struct bytes b);
/* How often the map was changed. */
uint64_t pg_names_changes(const struct pg_names *names);
/* Removes all; `fn` (may be NULL) sees each before. */
void pg_names_clear(struct pg_names *names, void (*fn)(void *context, void *object), void *context);

#endif
