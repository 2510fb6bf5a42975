#include "sidecar/protocol/postgres/pg_result.h"

#include <stdio.h>
#include <stdlib.h>

enum {
    COLUMNS_MIN = 4,
    SPARE_COLUMNS_MAX = 16, /* 1.5 KB; an idle session keeps one of them at most */
    COLUMN_SIZE = sizeof(struct masker_column) + PG_RESULT_NAME_SIZE,
};

static struct pg_result *take_spare(size_t count, struct pg_result **io_spare)
{
    struct pg_result *r = io_spare == NULL ? NULL : *io_spare;
    if (r == NULL || r->capacity < count) {
        return NULL;
    }
    *io_spare = NULL;
    return r;
}

static struct pg_result *result_new(size_t count, struct pg_result **io_spare)
{
    struct pg_result *r = take_spare(count, io_spare);
    size_t capacity = count < COLUMNS_MIN ? COLUMNS_MIN : count;
    if (r != NULL) {
        capacity = r->capacity;
    } else if ((r = malloc(sizeof(*r) + capacity * COLUMN_SIZE)) == NULL) {
        return NULL;
    }
    *r = (struct pg_result){.count = count, .capacity = capacity};
    r->columns = (struct masker_column *)(void *)(r + 1);
    r->names = (char(*)[PG_RESULT_NAME_SIZE])(void *)(r->columns + capacity);
    memset(r->columns, 0, count * COLUMN_SIZE + (capacity - count) * sizeof(*r->columns));
    return r;
}

void pg_result_destroy(struct pg_result *r)
{
    free(r);
}

void pg_result_recycle(struct pg_result *r, struct pg_result **io_spare)
{
    if (r != NULL && *io_spare == NULL && r->capacity <= SPARE_COLUMNS_MAX) {
        *io_spare = r;
    } else {
        free(r);
    }
}

/* The server's names fit; a longer one is cut. */
static void set_name(char *out, struct bytes name)
{
    size_t size = name.size < PG_RESULT_NAME_SIZE ? name.size : PG_RESULT_NAME_SIZE - 1;
    if (size > 0) {
        memcpy(out, name.data, size);
    }
    out[size] = '\0';
}

/* What is done with a value of which nothing is known any more: it was decided already, so there is
 * no refusing it. */
static struct masker_column withheld(const struct pg_masks *masks)
{
    bool passes = !masks->by_column || masks->unknown_origin == POLICY_UNKNOWN_ALLOW;
    return (struct masker_column){.action = passes ? MASKER_PASS : MASKER_NULL,
                                  .rule = masks->unknown_rule};
}

static struct masker_column planned(const struct pg_masks *masks, const struct pg_plan_rows *plan,
                                    size_t i, size_t count, bool is_outdated)
{
    if (plan == NULL || is_outdated || !plan->outputs_known) {
        return withheld(masks);
    }
    if (!plan->masks && plan->column_count == 0) {
        return (struct masker_column){.action = MASKER_PASS};
    }
    return plan->column_count == count ? plan->columns[i] : withheld(masks);
}

/* The server's own word on where a column comes from; system relations are not marked. */
static struct masker_column confirmed(const struct pg_masks *masks,
                                      const struct lineage_marks *marks, const struct pg_column *c,
                                      struct masker_column planned)
{
    bool known = true;
    if (marks == NULL || c->table == 0 || planned.action != MASKER_PASS) {
        return planned;
    }
    uint64_t rules = lineage_marks_of(marks, c->table, c->attribute, &known);
    if (rules == 0 && known) {
        return planned;
    }
    if (rules == 0) {
        return withheld(masks);
    }
    size_t rule = (size_t)__builtin_ctzll(rules);
    return (struct masker_column){
        .action = MASKER_NULL,
        .rule = (uint8_t)(rule < masks->rule_count ? rule : masks->unknown_rule)};
}

struct pg_result *pg_result_create(struct bytes row_description, const struct pg_masks *masks,
                                   const struct pg_plan_rows *plan,
                                   const struct lineage_marks *marks, bool is_outdated,
                                   struct pg_result **io_spare)
{
    struct pg_columns columns;
    struct pg_column c;
    if (pg_wire_read_row_description(row_description, &columns) != WIRE_OK) {
        return NULL;
    }
    struct pg_result *r = result_new(columns.count, io_spare);
    for (size_t i = 0; r != NULL && i < r->count && pg_columns_next(&columns, &c); i++) {
        r->columns[i] = confirmed(masks, marks, &c, planned(masks, plan, i, r->count, is_outdated));
        r->columns[i].type = c.type;
        r->columns[i].is_binary = c.is_binary;
        r->masks = r->masks || r->columns[i].action != MASKER_PASS;
        set_name(r->names[i], c.name);
    }
    return r;
}

struct pg_result *pg_result_create_copy(size_t count, bool is_binary, const struct pg_masks *masks,
                                        const struct pg_plan_rows *plan, bool is_outdated)
{
    bool is_known = plan != NULL && plan->is_copy && !is_outdated;
    struct pg_result *r = result_new(count, NULL);
    for (size_t i = 0; r != NULL && i < count; i++) {
        r->columns[i] = is_known ? planned(masks, plan, i, count, false) : withheld(masks);
        r->columns[i].is_binary = is_binary;
        r->masks = r->masks || r->columns[i].action != MASKER_PASS;
        (void)snprintf(r->names[i], sizeof(r->names[i]), "column %zu", i + 1);
    }
    return r;
}
