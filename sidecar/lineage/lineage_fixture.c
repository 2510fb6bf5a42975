#include "sidecar/lineage/lineage_fixture.h"

#include <assert.h>
#include <stdio.h>
#include <stdlib.h>

/* ---- the catalog ----------------------------------------------------------------------------- */

struct table {
    const char *schema, *name, *kind;
    const char *columns;    /* "id int4, up text!": ! is generated */
    const char *definition; /* of a view; "" withheld */
    const char *parent;
    bool has_rules;
};

static const struct table tables[] = {
    {"public", "customers", "r",
     "id int4, name text, email text, ssn text, salary numeric, is_vip bool, data jsonb", NULL,
     NULL, false},
    {"public", "orders", "r",
     "id int4, customer_id int4, total numeric, status text, note text, tags _text", NULL, NULL,
     false},
    {"public", "items", "r", "id int4, order_id int4, product_id int4, price numeric, amount int4",
     NULL, NULL, false},
    {"public", "products", "r", "id int4, category_id int4, name text", NULL, NULL, false},
    {"public", "categories", "r", "id int4, name text", NULL, NULL, false},
    {"public", "shipments", "r", "id int4, order_id int4, carrier_id int4, at timestamptz", NULL,
     NULL, false},
    {"public", "carriers", "r", "id int4, name text", NULL, NULL, false},
    {"public", "gen", "r", "id int4, secret text, up text!", NULL, NULL, false},
    {"public", "people", "r", "id int4, code text", NULL, NULL, false},
    {"public", "people_de", "r", "id int4, code text, tax text", NULL, "people", false},
    {"public", "people_be", "r", "id int4, code text, tax text", NULL, "people_de", false},
    {"public", "ruled", "r", "id int4, v text", NULL, NULL, true},
    {"public", "intake", "r", "id int4, code text", NULL, NULL, false},
    {"public", "stamped", "r", "id int4, at text", NULL, NULL, false},
    {"public", "visits", "r", "id int4, who person", NULL, NULL, false},
    {"public", "moods", "r", "id int4, feeling color", NULL, NULL, false},
    {"public", "ids", "S", "last_value int8, log_cnt int8, is_called bool", NULL, NULL, false},
    {"sales", "customers", "r", "id int4, ssn text", NULL, NULL, false},
    {"sales", "leads", "r", "id int4, phone text", NULL, NULL, false},
    {"pg_temp_3", "scratch", "r", "id int4, v text", NULL, NULL, false},
    {"public", "v_customers", "v", "id int4, name text, number text",
     " SELECT customers.id, customers.name, customers.ssn AS number FROM public.customers;", NULL,
     false},
    {"public", "v_deep", "v", "id int4, n text",
     " SELECT v.id, v.number AS n FROM public.v_customers v;", NULL, false},
    {"public", "v_upper", "v", "u text", " SELECT upper(customers.ssn) AS u FROM public.customers;",
     NULL, false},
    {"public", "v_filter", "v", "id int4",
     " SELECT customers.id FROM public.customers WHERE (customers.ssn ~~ '1%'::text);", NULL,
     false},
    {"public", "v_code", "v", "id int4, e text",
     " SELECT orders.id, public.evil(orders.id) AS e FROM public.orders;", NULL, false},
    {"public", "v_withheld", "v", "id int4, x text", "", NULL, false},
    {"public", "v_orders", "v", "id int4, total numeric",
     " SELECT orders.id, orders.total FROM public.orders;", NULL, false},
    {"public", "v_direct", "v", "id int4, code text",
     " SELECT orders.id, orders.note AS code FROM public.orders;", NULL, false},
    {"public", "v_loop", "v", "id int4", " SELECT v_loop.id FROM public.v_loop;", NULL, false},
    {"public", "v_short", "v", "id int4, x text", " SELECT orders.id FROM public.orders;", NULL,
     false},
    {"public", "v_system", "v", "vals text",
     " SELECT (s.most_common_vals)::text AS vals FROM pg_stats s;", NULL, false},
    {"public", "m_customers", "m", "id int4, ssn text",
     " SELECT customers.id, customers.ssn FROM public.customers;", NULL, false},
    {"pg_catalog", "pg_class", "r",
     "oid oid, relname name, relnamespace oid, relkind char, reltuples float4", NULL, NULL, false},
    {"pg_catalog", "pg_namespace", "r", "oid oid, nspname name", NULL, NULL, false},
    {"pg_catalog", "pg_attribute", "r",
     "attrelid oid, attname name, attnum int2, atttypid oid, attmissingval anyarray", NULL, NULL,
     false},
    {"pg_catalog", "pg_stats", "v",
     "schemaname name, tablename name, attname name, null_frac float4, most_common_vals anyarray, "
     "histogram_bounds anyarray",
     NULL, NULL, false},
    {"pg_catalog", "pg_statistic", "r", "starelid oid, stavalues1 anyarray", NULL, NULL, false},
    {"pg_catalog", "pg_stat_activity", "v", "pid int4, usename name, state text, query text", NULL,
     NULL, false},
    {"pg_catalog", "pg_authid", "r", "oid oid, rolname name, rolpassword text", NULL, NULL, false},
    {"pg_catalog", "pg_settings", "v", "name text, setting text", NULL, NULL, false},
    {"pg_catalog", "pg_largeobject", "r", "loid oid, pageno int4, data bytea", NULL, NULL, false},
    {"pg_catalog", "pg_prepared_statements", "v", "name text, statement text", NULL, NULL, false},
    {"information_schema", "columns", "v", "table_name name, column_name name", NULL, NULL, false},
    {"pg_toast", "pg_toast_100", "t", "chunk_id oid, chunk_seq int4, chunk_data bytea", NULL, NULL,
     false},
};

enum { TABLES = sizeof(tables) / sizeof(tables[0]), FIRST_OID = 20000 };

static void feed(struct catalog_loader *l, enum catalog_query q, size_t count,
                 const char *const *values)
{
    struct bytes row[CATALOG_VALUES_MAX] = {0};
    for (size_t i = 0; i < count; i++) {
        row[i] = values[i] == NULL ? bytes_of(NULL, 0) : bytes_of_string(values[i]);
    }
    if (catalog_loader_row(l, q, row, count) != OK) {
        (void)fprintf(stderr, "the fixture's row of query %d is not taken: %s\n", (int)q,
                      count > 2 ? values[2] : values[0]);
        abort();
    }
}

static bool is_system_schema(const char *schema)
{
    return strncmp(schema, "pg_toast", 8) == 0 || strcmp(schema, "pg_catalog") == 0 ||
           strcmp(schema, "information_schema") == 0;
}

static void feed_columns(struct catalog_loader *l, const char *oid, const char *columns)
{
    char text[512];
    char *rest = NULL;
    int number = 0;
    (void)snprintf(text, sizeof(text), "%s", columns);
    for (char *c = strtok_r(text, ",", &rest); c != NULL; c = strtok_r(NULL, ",", &rest)) {
        char name[64], type[64], digits[16];
        bool is_generated = c[strlen(c) - 1] == '!';
        if (sscanf(c, " %63[^ ] %63[^!]", name, type) != 2) {
            abort();
        }
        (void)snprintf(digits, sizeof(digits), "%d", ++number);
        const char *row[] = {oid,  digits,
                             name, strcmp(type, "person") == 0 ? "500" : "25",
                             type, is_generated ? "true" : "false"};
        feed(l, CATALOG_QUERY_COLUMNS, 6, row);
    }
}

static void oid_of(const char *name, char *out, size_t size)
{
    for (size_t i = 0; i < TABLES; i++) {
        if (strcmp(tables[i].name, name) == 0) {
            (void)snprintf(out, size, "%zu", FIRST_OID + i);
            return;
        }
    }
    abort();
}

static void feed_table(struct catalog_loader *l, size_t i)
{
    const struct table *t = &tables[i];
    char oid[16], parent[16];
    (void)snprintf(oid, sizeof(oid), "%zu", FIRST_OID + i);
    const char *row[] = {oid,
                         t->schema,
                         t->name,
                         t->kind,
                         is_system_schema(t->schema) ? "true" : "false",
                         strcmp(t->schema, "pg_temp_3") == 0 ? "true" : "false",
                         t->has_rules ? "true" : "false",
                         "true"};
    feed(l, CATALOG_QUERY_RELATIONS, 8, row);
    feed_columns(l, oid, t->columns);
    if (t->definition != NULL) {
        const char *view[] = {oid, t->definition[0] == '\0' ? NULL : t->definition};
        feed(l, CATALOG_QUERY_VIEWS, 2, view);
    }
    if (t->parent != NULL) {
        oid_of(t->parent, parent, sizeof(parent));
        const char *parents[] = {oid, parent};
        feed(l, CATALOG_QUERY_PARENTS, 2, parents);
    }
}

static void feed_writing(struct catalog_loader *l, const char *table, const char *function)
{
    char oid[16];
    oid_of(table, oid, sizeof(oid));
    const char *row[] = {"w", "public", function, oid, NULL};
    feed(l, CATALOG_QUERY_NAMES, 5, row);
}

struct catalog *fixture_catalog(bool empty)
{
    static const char *const path[][2] = {
        {"pg_temp_3", "true"}, {"pg_catalog", "false"}, {"public", "false"}};
    static const char *const names[][5] = {
        {"f", "public", "evil", NULL, NULL},
        {"f", "public", "my_hash", NULL, NULL},
        {"f", "public", "code_of", NULL, NULL},
        {"o", "public", "===", NULL, NULL},
        {"t", "public", "mood", NULL, NULL},
        {"f", "sales", "lower", NULL, NULL},
        {"f", "public", "sampler", NULL, NULL},
        {"t", "public", "color", NULL, "enum"},
        {"t", "public", "person", NULL, NULL},
        {"c", "public", "to_person", "500", "person"},
        {"c", "public", "my_hash", "501", "trusted_one"},
        {"d", "public", "code_of", "502", NULL},
        {"p", "public", "#>", NULL, NULL},
    };
    struct catalog *c = NULL;
    struct catalog_loader *l = catalog_loader_create();
    if (l == NULL) {
        abort();
    }
    const char *fingerprint[] = {"one"};
    feed(l, CATALOG_QUERY_FINGERPRINT, 1, fingerprint);
    for (size_t i = 0; i < sizeof(path) / sizeof(path[0]); i++) {
        feed(l, CATALOG_QUERY_PATH, 2, path[i]);
    }
    for (size_t i = 0; i < TABLES && !empty; i++) {
        feed_table(l, i);
    }
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        feed(l, CATALOG_QUERY_NAMES, 5, names[i]);
    }
    if (!empty) {
        feed_writing(l, "intake", "code_of");
        feed_writing(l, "intake", "my_hash");
        feed_writing(l, "stamped", "my_hash");
    }
    if (catalog_loader_finish(l, &c) != OK) {
        abort();
    }
    catalog_loader_destroy(l);
    return c;
}

/* ---- the marks ------------------------------------------------------------------------------- */

static const struct {
    const char *schema, *table, *column;
    uint64_t rules;
} marked[] = {
    {"public", "customers", "ssn", FIXTURE_PII},    {"public", "customers", "email", FIXTURE_MAIL},
    {"public", "customers", "salary", FIXTURE_PAY}, {"public", "gen", "secret", FIXTURE_PII},
    {"public", "people_de", "tax", FIXTURE_PII},    {"public", "people_be", "code", FIXTURE_MAIL},
    {"sales", "customers", "ssn", FIXTURE_PII},     {"public", "v_direct", "code", FIXTURE_MAIL},
};

static uint64_t mark_some(void *context, const struct catalog_relation *r,
                          const struct catalog_column *c)
{
    (void)context;
    for (size_t i = 0; i < sizeof(marked) / sizeof(marked[0]); i++) {
        if (strcmp(marked[i].schema, r->schema) == 0 && strcmp(marked[i].table, r->name) == 0 &&
            strcmp(marked[i].column, c->name) == 0) {
            return marked[i].rules;
        }
    }
    return 0;
}

static uint64_t mark_none(void *context, const struct catalog_relation *r,
                          const struct catalog_column *c)
{
    (void)context;
    (void)r;
    (void)c;
    return 0;
}

static uint64_t mark_all(void *context, const struct catalog_relation *r,
                         const struct catalog_column *c)
{
    return mark_some(context, r, c) | FIXTURE_REST;
}

static bool trusts(void *context, const char *schema, const char *name)
{
    (void)context;
    (void)schema;
    return strcmp(name, "my_hash") == 0;
}

struct lineage_marks *fixture_marks(struct catalog *c, enum fixture_marks marks)
{
    lineage_mark_fn *fns[] = {
        [FIXTURE_SOME] = mark_some, [FIXTURE_NONE] = mark_none, [FIXTURE_ALL] = mark_all};
    struct lineage_marks *m = lineage_marks_create(c, fns[marks], trusts, NULL);
    if (m == NULL) {
        abort();
    }
    return m;
}

/* ---- printing -------------------------------------------------------------------------------- */

struct print {
    char *out;
    size_t size, used;
};

static void put(struct print *p, const char *text)
{
    int written = snprintf(p->out + p->used, p->size - p->used, "%s", text);
    size_t more = written < 0 ? 0 : (size_t)written;
    p->used = more < p->size - p->used ? p->used + more : p->size - 1;
}

static void put_rules(struct print *p, uint64_t rules)
{
    static const char *const names[] = {"pii", "mail", "pay", "rest"};
    bool is_first = true;
    put(p, "(");
    for (size_t i = 0; i < 4; i++) {
        if ((rules & UINT64_C(1) << i) != 0) {
            put(p, is_first ? "" : "+");
            put(p, names[i]);
            is_first = false;
        }
    }
    if ((rules & LINEAGE_SENSITIVE) != 0) {
        put(p, is_first ? "sensitive" : "+sensitive");
    }
    put(p, ")");
}

static void put_output(struct print *p, const struct lineage_output *o)
{
    static const char *const names[] = {
        [LINEAGE_CLEAN] = "clean",
        [LINEAGE_COLUMN] = "col",
        [LINEAGE_COMPUTED] = "comp",
        [LINEAGE_UNKNOWN] = "unknown",
    };
    put(p, names[o->origin]);
    if (o->origin != LINEAGE_CLEAN && o->rules != 0) {
        put_rules(p, o->rules);
    }
}

static void put_flag(struct print *p, bool *is_first, bool is_set, const char *name)
{
    if (is_set) {
        put(p, *is_first ? " [" : " ");
        put(p, name);
        *is_first = false;
    }
}

static void put_flag_rules(struct print *p, bool *is_first, uint64_t rules, const char *name)
{
    put_flag(p, is_first, rules != 0, name);
    if (rules != 0) {
        put_rules(p, rules);
    }
}

static void put_flags(struct print *p, const struct lineage_statement *s)
{
    bool is_first = true;
    put_flag_rules(p, &is_first, s->filtered, "filtered");
    put_flag_rules(p, &is_first, s->stored, "stored");
    put_flag_rules(p, &is_first, s->altered, "altered");
    put_flag(p, &is_first, s->unknown, "unknown");
    put_flag(p, &is_first, s->changes_catalog, "catalog");
    put_flag(p, &is_first, s->changes_path, "path");
    put_flag(p, &is_first, !s->may_speak, "silent");
    put_flag(p, &is_first, s->clean, "pass");
    put(p, is_first ? "" : "]");
}

static void put_kind(struct print *p, const struct lineage_statement *s)
{
    static const char *const names[] = {
        [LINEAGE_PLAIN] = "",
        [LINEAGE_DECLARE] = " DECLARE",
        [LINEAGE_FETCH] = " FETCH",
        [LINEAGE_CLOSE] = " CLOSE",
        [LINEAGE_PREPARE] = " PREPARE",
        [LINEAGE_EXECUTE] = " EXECUTE",
        [LINEAGE_DEALLOCATE] = " DEALLOCATE",
        [LINEAGE_DISCARD] = " DISCARD",
        [LINEAGE_COPY_OUT] = " COPY",
    };
    put(p, names[s->kind]);
    if (s->name != NULL) {
        put(p, " ");
        put(p, s->name);
    }
    put(p, s->kind == LINEAGE_PLAIN ? "" : ":");
}

void fixture_print_statement(const struct lineage_statement *s, char *out, size_t size)
{
    struct print p = {.out = out, .size = size};
    put(&p, "->");
    put_kind(&p, s);
    if (!s->outputs_known) {
        put(&p, " open");
    }
    for (size_t i = 0; s->outputs_known && i < s->output_count; i++) {
        put(&p, i == 0 ? " " : ", ");
        put_output(&p, &s->outputs[i]);
    }
    put_flags(&p, s);
}

void fixture_print(const struct lineage *l, char *out, size_t size)
{
    size_t used = 0;
    out[0] = '\0';
    for (size_t i = 0; i < l->statement_count && used + 1 < size; i++) {
        fixture_print_statement(&l->statements[i], out + used, size - used - 1);
        used += strlen(out + used);
        (void)snprintf(out + used, size - used, "\n");
        used += strlen(out + used);
    }
}
