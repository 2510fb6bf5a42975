/* Where the values of a statement's result come from, and what else of masked columns it would
 * show, change or carry away.
 *
 * Works on the parse tree and a snapshot of the target's catalog; pure. What it does not understand
 * is *unknown*, never clean. Views are read through (also views of views); of inheritance and
 * partitions, a mark on one member holds for the whole family.
 *
 * What a view's definition filters by or does not know counts for whoever reads the view: an agent
 * may have made it.
 *
 * `marks` say which columns are masked, each by a set of rules (bits); the analysis knows nothing
 * else of the policy. */
#ifndef CHAPERONE_SIDECAR_LINEAGE_LINEAGE_H
#define CHAPERONE_SIDECAR_LINEAGE_LINEAGE_H

#include "base/bytes.h"
#include "sidecar/catalog/catalog.h"

enum {
    LINEAGE_RULES_MAX = 63, /* bits of a set; bit 63 is LINEAGE_SENSITIVE */
    LINEAGE_VIEW_DEPTH_MAX = 32,
    LINEAGE_COPY_TEXT_MAX = 64, /* bytes of COPY's NULL */
};

/* The bit of what PostgreSQL itself keeps of others' values: pg_stats, pg_statistic and their kin,
 * other sessions' queries (pg_stat_activity.query), pg_largeobject, TOAST tables. */
#define LINEAGE_SENSITIVE (UINT64_C(1) << 63)

/* ---- marks: which columns are masked ------------------------------------------------------- */

struct lineage_marks;

/* The rules that mask this column (bits 0 to LINEAGE_RULES_MAX - 1); 0: none. Called once for each
 * column of each relation that is not a system one. */
typedef uint64_t lineage_mark_fn(void *context, const struct catalog_relation *r,
                                 const struct catalog_column *c);
/* Whether results of this function show nothing but its arguments; the policy's trusted functions.
 */
typedef bool lineage_trust_fn(void *context, const char *schema, const char *name);

/* Returns owned; keeps a reference to the catalog; calls `trusts` (with `context`) also later. NULL
 * when memory is short. */
struct lineage_marks *lineage_marks_create(struct catalog *catalog, lineage_mark_fn *mark,
                                           lineage_trust_fn *trusts, void *context) MUST_USE;
void lineage_marks_destroy(struct lineage_marks *m); /* takes NULL */
/* No column of the catalog is marked: nothing needs to be analysed. */
bool lineage_marks_are_empty(const struct lineage_marks *m);
/* The marks of a column as a RowDescription names it; 0 for none and for system columns such as
 * ctid. `*out_known` false: no such relation in the snapshot. */
uint64_t lineage_marks_of(const struct lineage_marks *m, uint32_t relation, int16_t number,
                          bool *out_known);

/* Whether values of this type are only cast by what is known: asked of the types that Parse
 * declares for its parameters, which are not in the text. False: the statement is unknown. */
bool lineage_marks_know_type(const struct lineage_marks *m, uint32_t type);

/* ---- the analysis -------------------------------------------------------------------------- */

enum lineage_origin {
    LINEAGE_CLEAN,    /* nothing of a marked column is in it */
    LINEAGE_COLUMN,   /* it *is* the value of marked columns, all with exactly `rules` */
    LINEAGE_COMPUTED, /* made of marked columns by operations that cannot fail on a value; also a
                         mixture of marked and other values (UNION ALL) */
    LINEAGE_UNKNOWN,
};

struct lineage_output {
    enum lineage_origin origin;
    uint64_t rules; /* of what it is made of */
};

enum lineage_kind {
    LINEAGE_PLAIN,
    LINEAGE_DECLARE,    /* a cursor: outputs are what FETCH will give */
    LINEAGE_FETCH,      /* outputs are those of the cursor `name`: the caller knows */
    LINEAGE_CLOSE,      /* `name` NULL: all */
    LINEAGE_PREPARE,    /* outputs are what EXECUTE will give */
    LINEAGE_EXECUTE,    /* outputs are those of the prepared statement `name` */
    LINEAGE_DEALLOCATE, /* `name` NULL: all */
    LINEAGE_DISCARD,    /* DISCARD ALL: both of the above */
    LINEAGE_COPY_OUT,   /* to the client: outputs are the columns of the data */
};

enum lineage_copy_format { LINEAGE_COPY_AS_TEXT, LINEAGE_COPY_AS_CSV, LINEAGE_COPY_AS_BINARY };

/* How COPY writes; as the server's defaults fill it in. */
struct lineage_copy {
    enum lineage_copy_format format;
    char delimiter, quote, escape;
    char null_text[LINEAGE_COPY_TEXT_MAX];
    bool has_header;
};

struct lineage_statement {
    enum lineage_kind kind;
    const char *name;   /* of a cursor or prepared statement */
    size_t start, size; /* its place in the text */
    /* Nothing marked and nothing unknown is in reach: results may pass as they are, whatever the
     * outputs say. Never of FETCH and EXECUTE. */
    bool clean;
    /* Outputs are known by number: a star over a relation whose columns are not known makes
     * `outputs_known` false, and then all that comes is LINEAGE_UNKNOWN. */
    bool outputs_known;
    const struct lineage_output *outputs;
    size_t output_count;
    struct lineage_copy copy; /* of LINEAGE_COPY_OUT */

    /* Marked columns that the statement uses otherwise; rules, each with one sentence for people
     * (NULL: none) that names the first place: "public.customers.ssn is used in WHERE". */
    uint64_t filtered; /* what is shown, how much, in which order or whether it fails depends on
                          them: WHERE, ON, GROUP BY, ORDER BY, DISTINCT, UNION, window, LIMIT, an
                          operation that may fail on a value */
    const char *filtered_why;
    uint64_t stored; /* they go somewhere else than to the client: into a table, a setting, a
                        notification, a large object, a file */
    const char *stored_why;
    uint64_t altered; /* DDL on their relation (or its schema) that could free them of their mark */
    const char *altered_why;
    bool unknown; /* something of what it reads or does cannot be known: a function that is not
                     PostgreSQL's own, new code (CREATE FUNCTION, DO, a trigger), a relation that
                     is not in the catalog */
    const char *unknown_why;
    bool changes_catalog; /* the snapshot may be outdated after it */
    bool changes_path;    /* search_path, role or session authorization: names may mean others */
    /* Both also of what is unknown, and at the end of a transaction or a return to a savepoint: SET
     * LOCAL ends there, and what was created may be gone. */
    /* Errors and notices may carry values of marked columns: it touches a relation that has some
     * (also to write), writes at all (a constraint or a trigger may speak of another relation), or
     * is unknown. */
    bool may_speak;
};

struct lineage {
    const struct lineage_statement *statements;
    size_t statement_count;
    /* Some relation of the text is a view of somebody's own (CATALOG_VIEW, not a system one), or is
     * read through one: whoever redefines it changes what the text reads, and nothing in the result
     * tells. */
    bool reads_views;
    /* What it says holds for the value of some constant only (ORDER BY 2, the name of a setting):
     * a text that differs in nothing but plain constants may mean another. */
    bool reads_constants;
    size_t size; /* bytes of memory, for caches */
};

/* `*out` is owned: lineage_destroy. ERR_INVALID: not SQL. ERR_LIMIT: too deep, too large; refuse.
 * The text has passed sql_analyse before (its guards on depth and size are relied on). */
enum err lineage_analyse(const struct lineage_marks *marks, struct bytes text,
                         struct lineage **out) MUST_USE;
void lineage_destroy(struct lineage *l); /* takes NULL */

#endif
