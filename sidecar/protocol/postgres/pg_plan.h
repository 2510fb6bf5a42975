/* What is to be masked of the results of a text's statements, or why they are refused: the policy's
 * masks applied to where the values come from (sidecar/lineage). Pure.
 *
 * A plan is made when an operation is decided and used when its answer comes. Both it and the masks
 * it was made by are counted, so that an answer that is under way goes on as it was decided. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_PLAN_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_PG_PLAN_H

#include "policies/policy.h"
#include "sidecar/lineage/lineage.h"
#include "sidecar/masking/masker.h"

/* One of the policy's masks, as far as plans need it; its rule may be gone by then. */
struct pg_mask_rule {
    char name[POLICY_NAME_SIZE_MAX + 1];
    bool names_columns, computed_null, predicates;
    enum policy_unknown unknown_origin;
};

struct pg_masks {
    int references;
    uint64_t version;      /* of the link's masks */
    struct masker *masker; /* owned */
    bool by_column, by_content;
    enum policy_unknown unknown_origin; /* the strictest of all rules that name columns */
    uint8_t unknown_rule;               /* and the first rule that says so */
    size_t rule_count;
    struct pg_mask_rule rules[]; /* rule_count; a session has few of POLICY_MASKS_MAX */
};

/* Returns one reference; borrows `detectors` for the call. ERR_LIMIT, ERR_INVALID, ERR_NO_MEMORY:
 * nothing may be shown. */
enum err pg_masks_create(const struct policy_mask *const *items, size_t count, uint64_t version,
                         struct bytes key, struct masker_cache *detectors, struct pg_masks **out,
                         struct err_text *why) MUST_USE;
struct pg_masks *pg_masks_ref(struct pg_masks *m);
void pg_masks_unref(struct pg_masks *m); /* takes NULL */

/* What is done with the rows of one statement. */
struct pg_plan_rows {
    bool masks;         /* something of it may have to be masked by provenance */
    bool outputs_known; /* else all columns are NULL */
    uint8_t rule;       /* that asks for that */
    size_t column_count;
    struct masker_column *columns; /* actions and rules; owned */
    bool is_copy;
    struct lineage_copy copy;
    bool withholds; /* errors and notices may show masked values */
};

struct pg_plan {
    int references;
    struct pg_masks *masks; /* owned reference */
    /* Why it is refused; empty: it is not. */
    char refusal[320];
    uint8_t refused_by;
    bool changes_catalog;
    bool reads_views; /* somebody may redefine them at any time */
    /* Nothing is masked, refused or changed, whatever the values of its constants are: it holds for
     * all texts of its shape (sql_cache_shape). */
    bool holds_for_shape;
    size_t count;
    struct pg_plan_rows rows[]; /* one for each statement */
};

/* The rows that EXECUTE and FETCH give: those of what was prepared or declared. NULL: not known. */
typedef const struct pg_plan_rows *pg_plan_follow_fn(void *context, enum lineage_kind kind,
                                                     const char *name);

/* Without `by_column` no column of the target is masked, and the lineage only says what is COPY.
 * `is_query` says of each of the `count` statements whether all it does is to give rows. Returns
 * one reference; NULL: no memory. */
struct pg_plan *pg_plan_create(struct pg_masks *masks, const struct lineage *lineage,
                               bool by_column, const bool *is_query, size_t count,
                               pg_plan_follow_fn *follow, void *context) MUST_USE;
/* One that is refused, with the sentence for the agent. */
struct pg_plan *pg_plan_refused(struct pg_masks *masks, const char *why) MUST_USE;
struct pg_plan *pg_plan_ref(struct pg_plan *p); /* takes NULL */
void pg_plan_unref(struct pg_plan *p);          /* takes NULL */

#endif
