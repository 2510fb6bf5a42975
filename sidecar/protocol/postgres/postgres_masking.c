#include "sidecar/protocol/postgres/postgres_masking.h"

#include <stdio.h>
#include <stdlib.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

/* ---- which masks hold ---------------------------------------------------------------------- */

static void forget_plans(struct pg_masking *m)
{
    for (size_t i = 0; i < PG_PLAN_GROUPS; i++) {
        for (size_t k = 0; m->plans[i] != NULL && k < PG_PLAN_GROUP; k++) {
            free(m->plans[i]->kept[k].text);
            pg_plan_unref(m->plans[i]->kept[k].plan);
        }
        free(m->plans[i]);
        m->plans[i] = NULL;
    }
}

static uint64_t mark(void *context, const struct catalog_relation *r,
                     const struct catalog_column *c)
{
    struct postgres *p = context;
    const struct protocol_masks *masks = p->link->ops->masks(p->link);
    uint64_t rules = 0;
    for (size_t i = 0; i < masks->count && i < LINEAGE_RULES_MAX; i++) {
        if (masks->items[i]->names_columns &&
            policy_mask_matches(masks->items[i], r->schema, r->name, c->name, c->type_name)) {
            rules |= UINT64_C(1) << i;
        }
    }
    return rules;
}

/* A function is trusted where every rule that names columns says so. */
static bool trusts(void *context, const char *schema, const char *name)
{
    struct postgres *p = context;
    const struct protocol_masks *masks = p->link->ops->masks(p->link);
    bool any = false;
    for (size_t i = 0; i < masks->count; i++) {
        if (masks->items[i]->names_columns) {
            any = true;
            if (!policy_mask_trusts(masks->items[i], schema, name)) {
                return false;
            }
        }
    }
    return any;
}

void postgres_masking_mark(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    forget_plans(m);
    lineage_marks_destroy(m->marks);
    m->marks = m->masks == NULL || m->catalog == NULL
                   ? NULL
                   : lineage_marks_create(m->catalog, mark, trusts, p);
}

/* The masks of this moment. They change only between two operations. */
static void refresh_masks(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    const struct protocol_masks *now = p->link->ops->masks(p->link);
    if (now->version == m->version) {
        return;
    }
    struct err_text why = {0};
    m->version = now->version;
    m->broken[0] = '\0';
    pg_masks_unref(m->masks);
    m->masks = NULL;
    if (!now->is_complete) {
        (void)snprintf(m->broken, sizeof(m->broken), "more masks apply than a session can hold");
    } else if (now->count > 0 &&
               pg_masks_create(now->items, now->count, now->version, bytes_of(m->key, m->key_size),
                               p->shared->detectors, &m->masks, &why) != OK) {
        (void)snprintf(m->broken, sizeof(m->broken), "the policy's masks cannot be used: %.140s",
                       why.text);
    }
    postgres_masking_mark(p);
}

/* ---- is the catalog still true ------------------------------------------------------------- */

static bool is_outdated(const struct pg_masking *m)
{
    return m->marks == NULL || m->is_stale ||
           (m->place != NULL && catalog_place_changes(m->place) != m->changes_seen);
}

bool postgres_masking_is_outdated(const struct postgres *p)
{
    return p->masking.masks != NULL && is_outdated(&p->masking);
}

/* Nothing is under way, and nothing was sent that a Sync of ours would end. */
static bool may_ask(const struct postgres *p)
{
    return p->queue.count == 0 && p->coming.message.size == 0 && !p->batch_open &&
           p->transaction != 'E';
}

static bool should_ask(const struct postgres *p)
{
    const struct pg_masking *m = &p->masking;
    if (m->masks == NULL || is_outdated(m)) {
        return m->masks != NULL;
    }
    /* In a transaction only what must be: its first query fixes what it sees. What is not outdated
     * is not waited for, either. */
    if (p->transaction != 'I' || !may_ask(p)) {
        return false;
    }
    int64_t age = p->link->ops->monotonic_ns(p->link) - m->checked_ns;
    return age > PG_CATALOG_AGE_MAX_MS * INT64_C(1000000);
}

enum protocol_step postgres_masking_prepare(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    if (m->step != PG_INQUIRY_NONE) {
        return PROTOCOL_WAIT;
    }
    if (!p->batch_open && p->queue.namings > 0) {
        return PROTOCOL_WAIT; /* what names stand for is known when they are answered */
    }
    refresh_masks(p);
    if (m->has_failed || !should_ask(p)) {
        m->has_failed = false;
        return PROTOCOL_MORE;
    }
    if (may_ask(p)) {
        return postgres_inquiry_start(p);
    }
    /* What is asked one by one can be waited for; what comes in one go cannot. */
    return !p->batch_open && p->queue.count > 0 && is_outdated(m) ? PROTOCOL_WAIT : PROTOCOL_MORE;
}

/* ---- changes ------------------------------------------------------------------------------- */

void postgres_masking_changed(struct postgres *p)
{
    p->masking.is_changed = true;
    p->masking.is_stale = true;
    if (p->masking.place != NULL) {
        catalog_place_changed(p->masking.place);
    }
}

void postgres_masking_ready(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    if (!m->is_changed) {
        return;
    }
    /* What was done may be taken back by any statement until the transaction ends, and by its end.
     */
    m->is_stale = true;
    if (p->transaction == 'I') {
        postgres_masking_changed(p); /* now the others can see it */
        m->is_changed = false;
    }
}

/* ---- the plan of a text -------------------------------------------------------------------- */

/* What a plan is kept under. */
struct plan_key {
    struct bytes text;
    bool is_shape;
};

static struct pg_plan_group **group_of(struct pg_masking *m, uint64_t hash)
{
    return &m->plans[hash % PG_PLAN_GROUPS];
}

static struct pg_plan *kept_plan(struct pg_masking *m, struct plan_key key)
{
    uint64_t hash = bytes_hash(key.text);
    const struct pg_plan_group *group = *group_of(m, hash);
    for (size_t i = 0; group != NULL && i < PG_PLAN_GROUP; i++) {
        const struct pg_planned *kept = &group->kept[i];
        if (kept->hash == hash && kept->text != NULL && kept->is_shape == key.is_shape &&
            bytes_equal(bytes_of(kept->text, kept->size), key.text)) {
            return pg_plan_ref(kept->plan);
        }
    }
    return NULL;
}

static void keep_plan(struct pg_masking *m, struct plan_key key, struct pg_plan *plan)
{
    uint64_t hash = bytes_hash(key.text);
    struct pg_plan_group **group = group_of(m, hash);
    if (*group == NULL) { /* few sessions need room for all of them */
        *group = calloc(1, sizeof(**group));
    }
    char *copy =
        *group == NULL || key.text.size > PG_PLAN_TEXT_MAX ? NULL : bytes_to_string(key.text);
    if (copy == NULL) {
        return;
    }
    struct pg_planned *place = &(*group)->kept[(*group)->next++ % PG_PLAN_GROUP];
    free(place->text);
    pg_plan_unref(place->plan);
    *place = (struct pg_planned){.text = copy,
                                 .size = key.text.size,
                                 .hash = hash,
                                 .is_shape = key.is_shape,
                                 .plan = pg_plan_ref(plan)};
}

static const struct pg_plan_rows *follow(void *context, enum lineage_kind kind, const char *name)
{
    struct postgres *p = context;
    struct pg_plan *plan = postgres_named_plan(p, kind == LINEAGE_FETCH, name);
    return plan != NULL && plan->refusal[0] == '\0' && plan->count == 1 ? &plan->rows[0] : NULL;
}

static struct pg_plan *make_plan(struct postgres *p, struct bytes text,
                                 const struct sql_analysis *a)
{
    struct pg_masking *m = &p->masking;
    struct lineage *lineage = NULL;
    bool *queries = arena_alloc(p->shared->scratch, (a->statement_count + 1) * sizeof(*queries));
    if (queries == NULL || lineage_analyse(m->marks, text, &lineage) != OK) {
        return pg_plan_refused(m->masks, "where its values come from cannot be known");
    }
    for (size_t i = 0; i < a->statement_count; i++) {
        queries[i] = sql_is_query(&a->statements[i]);
    }
    bool by_column = m->masks->by_column && !lineage_marks_are_empty(m->marks);
    struct pg_plan *plan =
        pg_plan_create(m->masks, lineage, by_column, queries, a->statement_count, follow, p);
    lineage_destroy(lineage);
    return plan == NULL ? pg_plan_refused(m->masks, "out of memory") : plan;
}

/* Nothing of this target's catalog is masked, and no content is looked for. */
static bool has_nothing_to_do(const struct pg_masking *m)
{
    return !m->masks->by_content && lineage_marks_are_empty(m->marks);
}

static const char outdated[] = "the target's catalog may have changed and cannot be read again "
                               "now; try it in a statement of its own";

/* The plan reads views: whether the catalog is as new as that needs. */
static bool is_fresh(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    if (m->looks_again) {
        return m->checked_ns >= m->looked_ns; /* else that failed */
    }
    int64_t age = p->link->ops->monotonic_ns(p->link) - m->checked_ns;
    return !may_ask(p) && age <= PG_CATALOG_BATCH_AGE_MAX_MS * INT64_C(1000000);
}

bool postgres_masking_looks_again(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    const struct pg_plan *plan = p->meaning.plan;
    if (plan == NULL || !plan->reads_views || m->looks_again || is_fresh(p) || !may_ask(p)) {
        return false;
    }
    m->looks_again = true;
    m->looked_ns = p->link->ops->monotonic_ns(p->link);
    return postgres_inquiry_start(p) == PROTOCOL_WAIT;
}

static struct pg_plan *find_plan(struct postgres *p, struct bytes text,
                                 const struct sql_analysis *a, bool has_names)
{
    struct pg_masking *m = &p->masking;
    if (is_outdated(m)) {
        return pg_plan_refused(m->masks, outdated);
    }
    if (has_nothing_to_do(m)) {
        return NULL;
    }
    if (has_names) {
        return make_plan(p, text, a);
    }
    struct plan_key by_text = {.text = text}, by_shape = {.is_shape = true};
    bool has_shape = sql_cache_shape(p->shared->sql, text, &by_shape.text);
    struct pg_plan *plan = has_shape ? kept_plan(m, by_shape) : NULL;
    if (plan == NULL) {
        plan = kept_plan(m, by_text);
    }
    if (plan == NULL) {
        plan = make_plan(p, text, a);
        bool shares = has_shape && plan != NULL && plan->holds_for_shape;
        keep_plan(m, shares ? by_shape : by_text, plan);
    }
    return plan;
}

static void refuse_plan(struct postgres *p, const struct pg_plan *plan, struct pg_refusal *refused)
{
    const struct pg_masks *m = plan->masks;
    const char *rule = plan->refused_by < m->rule_count ? m->rules[plan->refused_by].name : "";
    char text[480];
    (void)snprintf(text, sizeof(text), "denied by policy rule \"%s\": %s", rule, plan->refusal);
    char *message = arena_copy_string(p->shared->scratch, bytes_of_string(text));
    char *name = arena_copy_string(p->shared->scratch, bytes_of_string(rule));
    *refused = (struct pg_refusal){
        .sqlstate = PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
        .message = message == NULL ? "denied by policy" : message,
        .hint = "Masked columns may be selected as they are, by name or with *.",
        .rule = name};
}

struct pg_plan *postgres_masking_plan(struct postgres *p, struct bytes text,
                                      const struct sql_analysis *a, bool has_names,
                                      struct pg_refusal *refused)
{
    struct pg_masking *m = &p->masking;
    if (m->broken[0] != '\0') {
        *refused = (struct pg_refusal){.sqlstate = PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
                                       .message = m->broken};
        return NULL;
    }
    if (m->masks == NULL || sql_is_transaction_control(a)) {
        return NULL;
    }
    struct pg_plan *plan = find_plan(p, text, a, has_names);
    if (plan != NULL && plan->reads_views && plan->refusal[0] == '\0' && !is_fresh(p) &&
        (m->looks_again || !may_ask(p))) {
        pg_plan_unref(plan);
        plan = pg_plan_refused(m->masks, outdated);
    }
    const char *copy =
        plan == NULL || plan->refusal[0] != '\0' ? NULL : postgres_reading_copy(p, a, plan);
    if (copy != NULL) {
        pg_plan_unref(plan);
        plan = pg_plan_refused(m->masks, copy);
    }
    if (plan != NULL && plan->refusal[0] != '\0') {
        refuse_plan(p, plan, refused);
        pg_plan_unref(plan);
        return NULL;
    }
    return plan;
}

struct pg_plan *postgres_masking_parse(struct postgres *p, struct bytes text,
                                       struct pg_refusal *refused)
{
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    if (p->masking.masks == NULL || p->masking.broken[0] != '\0' ||
        sql_cache_analyse(p->shared->sql, text, &a, &error) != OK ||
        sql_is_transaction_control(a) || sql_has_namings(a)) {
        return NULL;
    }
    struct pg_plan *plan = find_plan(p, text, a, false);
    if (plan != NULL && plan->refusal[0] != '\0') {
        refuse_plan(p, plan, refused);
        pg_plan_unref(plan);
        return NULL;
    }
    return plan;
}

bool postgres_masking_looks_ahead(struct postgres *p, struct bytes text)
{
    struct pg_masking *m = &p->masking;
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    struct pg_refusal refused = {0};
    if (m->masks == NULL || m->looks_again || !may_ask(p) ||
        sql_cache_analyse(p->shared->sql, text, &a, &error) != OK || sql_has_namings(a)) {
        m->looks_again = false;
        return false;
    }
    p->meaning.plan = postgres_masking_plan(p, text, a, false, &refused);
    bool waits = postgres_masking_looks_again(p);
    postgres_meaning_finish(&p->meaning);
    return waits;
}

bool postgres_masking_knows_types(const struct postgres *p, const uint32_t *types, size_t count)
{
    const struct pg_masking *m = &p->masking;
    if (m->masks == NULL || m->marks == NULL || !postgres_masking_is_by_column(p) ||
        m->masks->unknown_origin == POLICY_UNKNOWN_ALLOW) {
        return true;
    }
    for (size_t i = 0; i < count; i++) {
        if (types[i] != 0 && !lineage_marks_know_type(m->marks, types[i])) {
            return false;
        }
    }
    return true;
}

bool postgres_masking_forbids_calls(struct postgres *p, struct pg_refusal *refused)
{
    struct pg_masking *m = &p->masking;
    bool is_masked =
        m->broken[0] != '\0' || (m->masks != NULL && (is_outdated(m) || !has_nothing_to_do(m)));
    if (is_masked) {
        *refused = (struct pg_refusal){
            .sqlstate = PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
            .message = "a function that is called by its number may show what is masked",
            .hint = "Call it by name, in a SELECT."};
    }
    return is_masked;
}

bool postgres_masking_is_by_column(const struct postgres *p)
{
    const struct pg_masking *m = &p->masking;
    return m->broken[0] != '\0' || (m->masks != NULL && m->masks->by_column &&
                                    (m->marks == NULL || !lineage_marks_are_empty(m->marks)));
}

/* ---- life ---------------------------------------------------------------------------------- */

bool postgres_masking_start(struct postgres *p, const Chaperone__V1__OpenSessionResponse *grant)
{
    struct pg_masking *m = &p->masking;
    char database[400];
    buffer_init(&m->fingerprint, PG_FINGERPRINT_MAX);
    m->key_size = grant->masking_key.len;
    if (m->key_size > sizeof(m->key)) {
        m->key_size = 0; /* masks that need it cannot be made */
    }
    if (m->key_size > 0) {
        memcpy(m->key, grant->masking_key.data, m->key_size);
    }
    (void)snprintf(database, sizeof(database), "%.255s:%u/%.128s", grant->target->host,
                   grant->target->port, grant->target->database);
    m->place =
        p->shared->catalogs == NULL ? NULL : catalog_shelf_take(p->shared->catalogs, database);
    return p->shared->catalogs == NULL || m->place != NULL;
}

void postgres_masking_finish(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    forget_plans(m);
    lineage_marks_destroy(m->marks);
    catalog_loader_destroy(m->loader);
    catalog_unref(m->catalog);
    catalog_place_release(m->place);
    pg_masks_unref(m->masks);
    buffer_finish(&m->fingerprint);
    bytes_wipe(m->key, sizeof(m->key));
}
