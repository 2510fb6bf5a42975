/* What calls do beyond computing: functions, operators and types by their names. */
#include <stdlib.h>
#include <strings.h>

#include "sidecar/sql/sql_scope.h"

/* --- names in literals ----------------------------------------------------------------- */

/* NAMEDATALEN is 64; a longer name is cut by the server, and is not followed here. */
enum { LITERAL_NAME_SIZE = 64 };

struct literal_name {
    char schema[LITERAL_NAME_SIZE], name[LITERAL_NAME_SIZE];
};

/* Reads an identifier; NULL: there is none. */
static const char *identifier_read(const char *text, char out[LITERAL_NAME_SIZE])
{
    bool quoted = *text == '"';
    size_t size = 0;
    text += quoted;
    for (; *text != '\0'; text++) {
        if (quoted && *text == '"') {
            if (text[1] != '"') {
                break;
            }
            text++;
        } else if (!quoted && strchr(". \t\n\r\f\"(", *text) != NULL) {
            break;
        }
        bool upper = !quoted && *text >= 'A' && *text <= 'Z';
        if (size + 1 >= LITERAL_NAME_SIZE) {
            return NULL;
        }
        out[size++] = (char)(upper ? *text - 'A' + 'a' : *text);
    }
    if (size == 0 || (quoted && *text != '"')) {
        return NULL;
    }
    out[size] = '\0';
    return text + quoted;
}

static const char *spaces_skip(const char *text)
{
    return text + strspn(text, " \t\n\r\f\v");
}

/* As stringToQualifiedNameList reads it; a number is an oid, whose name is not known. `ends` are
 * what may come after it: the arguments of regprocedure. */
static bool literal_read(const char *text, char end, struct literal_name *out)
{
    *out = (struct literal_name){0};
    text = spaces_skip(text);
    if (*text >= '0' && *text <= '9') {
        return false;
    }
    text = identifier_read(text, out->name);
    while (text != NULL && *(text = spaces_skip(text)) == '.') {
        memcpy(out->schema, out->name, sizeof(out->schema));
        text = identifier_read(spaces_skip(text + 1), out->name);
    }
    return text != NULL && (*text == '\0' || *text == end);
}

/* The text of a literal, also of one that is cast; NULL: none. */
static const char *literal_text(const PgQuery__Node *n)
{
    while (n != NULL && n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        n = n->type_cast->arg;
    }
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_A_CONST ||
        n->a_const->val_case != PG_QUERY__A__CONST__VAL_SVAL) {
        return NULL;
    }
    return n->a_const->sval->sval;
}

static const char *argument_text(const PgQuery__FuncCall *f, size_t i)
{
    return i < f->n_args ? literal_text(f->args[i]) : NULL;
}

static const char *function_name(const PgQuery__FuncCall *f)
{
    return f->n_funcname == 0 ? NULL : node_string(f->funcname[f->n_funcname - 1]);
}

/* --- functions whose arguments say what they do ---------------------------------------- */

/* setval(pg_get_serial_sequence('t', 'c'), ...): the sequence is the column's. */
static bool serial_sequence(struct walk *w, const PgQuery__Node *n, enum sql_access access)
{
    while (n != NULL && n->node_case == PG_QUERY__NODE__NODE_TYPE_CAST) {
        n = n->type_cast->arg;
    }
    if (n == NULL || n->node_case != PG_QUERY__NODE__NODE_FUNC_CALL) {
        return false;
    }
    const PgQuery__FuncCall *f = n->func_call;
    const char *name = function_name(f);
    const char *table = argument_text(f, 0), *column = argument_text(f, 1);
    struct literal_name t;
    if (name == NULL || strcmp(name, "pg_get_serial_sequence") != 0 || table == NULL ||
        column == NULL || !literal_read(table, '\0', &t)) {
        return false;
    }
    uint32_t at = walk_find(w, SQL_TABLE, access, t.schema, t.name);
    if (at != NO_OBJECT) {
        column_set_add_text(&w->columns, &w->found[at].columns, column);
    }
    return true;
}

/* A sequence that is not named by a literal may be any: no rule for tables covers that. */
static void sequence_use(struct walk *w, const PgQuery__FuncCall *f, enum sql_access access)
{
    struct literal_name s;
    const char *text = argument_text(f, 0);
    if (text != NULL && literal_read(text, '\0', &s)) {
        walk_add(w, SQL_SEQUENCE, access, s.schema, s.name);
    } else if (f->n_args == 0 || !serial_sequence(w, f->args[0], access)) {
        walk_add(w, SQL_OTHER, access, NULL, "sequence");
    }
}

static void sequence_change(struct walk *w, const PgQuery__FuncCall *f)
{
    sequence_use(w, f, SQL_UPDATE);
}

static void sequence_read(struct walk *w, const PgQuery__FuncCall *f)
{
    sequence_use(w, f, SQL_READ);
}

static void setting_add(struct walk *w, const char *name)
{
    walk_add(w, SQL_SETTING, SQL_SESSION, NULL, name);
    /* SET ROLE and SET SESSION AUTHORIZATION are settings of these names. */
    if (strcasecmp(name, "role") == 0 || strcasecmp(name, "session_authorization") == 0) {
        walk_add(w, SQL_SETTING, SQL_PRIVILEGE, NULL, name);
    }
}

static void setting_change(struct walk *w, const PgQuery__FuncCall *f)
{
    const char *name = argument_text(f, 0);
    if (name != NULL) {
        setting_add(w, name);
        return;
    }
    walk_add(w, SQL_FUNCTION, SQL_SESSION, NULL, "set_config");
    walk_add(w, SQL_FUNCTION, SQL_PRIVILEGE, NULL, "set_config");
}

static void channel_notify(struct walk *w, const PgQuery__FuncCall *f)
{
    const char *name = argument_text(f, 0);
    walk_add(w, name == NULL ? SQL_FUNCTION : SQL_CHANNEL, SQL_NOTIFY, NULL,
             name == NULL ? "pg_notify" : name);
}

/* With two arguments the second is a query that it runs. */
static void rewrite_run(struct walk *w, const PgQuery__FuncCall *f)
{
    if (f->n_args == 2) {
        walk_add(w, SQL_FUNCTION, SQL_UNSAFE_IO, NULL, "ts_rewrite");
    }
}

/* 'orders'::regclass names a table, whose number it becomes. */
static void reference_read(struct walk *w, const char *type, const char *text)
{
    struct literal_name r;
    bool is_class = strcmp(type, "regclass") == 0;
    bool is_function = strcmp(type, "regproc") == 0 || strcmp(type, "regprocedure") == 0;
    if (!is_class && !is_function) {
        return;
    }
    w->constants_matter = true;
    if (text == NULL || !literal_read(text, is_function ? '(' : '\0', &r)) {
        return;
    }
    if (is_class) {
        (void)walk_find(w, SQL_TABLE, SQL_READ, r.schema, r.name);
    } else {
        walk_add(w, SQL_FUNCTION, SQL_CALL, r.schema, r.name);
    }
}

static void reference_call(struct walk *w, const PgQuery__FuncCall *f)
{
    reference_read(w, function_name(f), argument_text(f, 0));
}

/* Sorted. */
static const struct argued {
    const char *name;
    void (*add)(struct walk *w, const PgQuery__FuncCall *f);
} argued[] = {
    {"currval", sequence_read},     {"nextval", sequence_change}, {"pg_notify", channel_notify},
    {"regclass", reference_call},   {"regproc", reference_call},  {"regprocedure", reference_call},
    {"set_config", setting_change}, {"setval", sequence_change},  {"ts_rewrite", rewrite_run},
};

static int argued_compare(const void *name, const void *at)
{
    return strcmp(name, ((const struct argued *)at)->name);
}

static void effect_add(struct walk *w, const PgQuery__FuncCall *f, enum sql_kind kind)
{
    const char *name = function_name(f);
    if (name == NULL) {
        walk_add_unknown(w);
        return;
    }
    const struct argued *a = bsearch(name, argued, sizeof(argued) / sizeof(argued[0]),
                                     sizeof(argued[0]), argued_compare);
    if (a != NULL) {
        w->constants_matter = true;
        a->add(w, f);
        return;
    }
    const char *schema = f->n_funcname < 2 ? NULL : node_string(f->funcname[f->n_funcname - 2]);
    enum sql_access more = function_access(schema, name);
    if (more != SQL_CALL) {
        walk_add_names(w, kind, more, f->n_funcname, f->funcname, false);
    }
}

void function_walk(struct walk *w, const PgQuery__FuncCall *f, enum sql_kind kind,
                   enum sql_access access)
{
    walk_add_names(w, kind, access, f->n_funcname, f->funcname, false);
    effect_add(w, f, kind);
    walk_nodes(w, f->n_args, f->args);
    walk_nodes(w, f->n_agg_order, f->agg_order);
    walk_node(w, f->agg_filter);
    if (f->over != NULL) {
        walk_fields(w, &f->over->base);
    }
}

/* --- operators and types --------------------------------------------------------------- */

/* A name of two parts, or of one that is not PostgreSQL's own, is code that somebody wrote. */
static void own_code_add(struct walk *w, size_t count, PgQuery__Node *const *names,
                         bool (*is_builtin)(const char *name))
{
    const char *name = count == 0 ? NULL : node_string(names[count - 1]);
    const char *schema = count < 2 ? NULL : node_string(names[count - 2]);
    bool in_catalog = schema == NULL || strcmp(schema, "pg_catalog") == 0;
    if (name == NULL || (in_catalog && is_builtin(name))) {
        return;
    }
    w->runs_own_code = true;
    walk_add(w, SQL_FUNCTION, SQL_CALL, schema, name);
}

void operator_use(struct walk *w, size_t count, PgQuery__Node *const *names)
{
    own_code_add(w, count, names, operator_is_builtin);
}

void type_use(struct walk *w, const PgQuery__TypeName *t)
{
    if (t != NULL) {
        own_code_add(w, t->n_names, t->names, type_is_builtin);
        walk_nodes(w, t->n_typmods, t->typmods);
    }
}

void cast_walk(struct walk *w, const PgQuery__TypeCast *c)
{
    type_use(w, c->type_name);
    const PgQuery__TypeName *t = c->type_name;
    const char *type = t == NULL || t->n_names == 0 ? NULL : node_string(t->names[t->n_names - 1]);
    if (type != NULL) {
        reference_read(w, type, t->n_array_bounds == 0 ? literal_text(c->arg) : NULL);
    }
    walk_node(w, c->arg);
}
