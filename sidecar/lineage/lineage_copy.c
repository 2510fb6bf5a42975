/* COPY: what goes out, and how the server will write it (ProcessCopyOptions, copy.c). */
#include <strings.h>

#include "sidecar/lineage/lineage_internal.h"

static const char *option_text(const PgQuery__Node *n)
{
    return n == NULL ? NULL : node_text(n);
}

static struct value option_unknown(struct walk *w, const char *name)
{
    return note_unknown(w, "the option %s of COPY is not understood", name);
}

static void option_format(struct walk *w, const PgQuery__Node *arg, struct lineage_copy *copy)
{
    const char *text = option_text(arg);
    if (text != NULL && strcmp(text, "text") == 0) {
        copy->format = LINEAGE_COPY_AS_TEXT;
    } else if (text != NULL && strcmp(text, "csv") == 0) {
        copy->format = LINEAGE_COPY_AS_CSV;
    } else if (text != NULL && strcmp(text, "binary") == 0) {
        copy->format = LINEAGE_COPY_AS_BINARY;
    } else {
        (void)option_unknown(w, "FORMAT");
    }
}

static void option_header(struct walk *w, const PgQuery__Node *arg, struct lineage_copy *copy)
{
    static const char *const yes[] = {"true", "on", "match"};
    static const char *const no[] = {"false", "off"};
    const char *text = option_text(arg);
    if (arg == NULL) {
        copy->has_header = true;
        return;
    }
    if (arg->node_case == PG_QUERY__NODE__NODE_INTEGER && arg->integer->ival >= 0 &&
        arg->integer->ival <= 1) {
        copy->has_header = arg->integer->ival == 1;
        return;
    }
    if (arg->node_case == PG_QUERY__NODE__NODE_BOOLEAN) {
        copy->has_header = arg->boolean->boolval;
        return;
    }
    for (size_t i = 0; text != NULL && i < sizeof(yes) / sizeof(yes[0]); i++) {
        if (strcasecmp(text, yes[i]) == 0) {
            copy->has_header = true;
            return;
        }
    }
    for (size_t i = 0; text != NULL && i < sizeof(no) / sizeof(no[0]); i++) {
        if (strcasecmp(text, no[i]) == 0) {
            copy->has_header = false;
            return;
        }
    }
    (void)option_unknown(w, "HEADER");
}

static void option_character(struct walk *w, const PgQuery__DefElem *d, char *out)
{
    const char *text = option_text(d->arg);
    if (text != NULL && strlen(text) == 1) {
        *out = text[0];
    } else {
        (void)option_unknown(w, d->defname);
    }
}

/* Characters that are not given have a default that depends on the format: 0 until the end. */
struct copy_options {
    struct lineage_copy copy;
    bool has_null;
};

static void option_null(struct walk *w, const PgQuery__DefElem *d, struct copy_options *o)
{
    const char *text = option_text(d->arg);
    if (text == NULL || strlen(text) >= LINEAGE_COPY_TEXT_MAX) {
        (void)option_unknown(w, "NULL");
        return;
    }
    memcpy(o->copy.null_text, text, strlen(text) + 1);
    o->has_null = true;
}

static void option_take(struct walk *w, const PgQuery__DefElem *d, struct copy_options *o)
{
    if (strcmp(d->defname, "format") == 0) {
        option_format(w, d->arg, &o->copy);
    } else if (strcmp(d->defname, "delimiter") == 0) {
        option_character(w, d, &o->copy.delimiter);
    } else if (strcmp(d->defname, "quote") == 0) {
        option_character(w, d, &o->copy.quote);
    } else if (strcmp(d->defname, "escape") == 0) {
        option_character(w, d, &o->copy.escape);
    } else if (strcmp(d->defname, "null") == 0) {
        option_null(w, d, o);
    } else if (strcmp(d->defname, "header") == 0) {
        option_header(w, d->arg, &o->copy);
    } else if (strcmp(d->defname, "force_quote") != 0) {
        /* ENCODING would have to be the client's; the others are of COPY FROM, or new. */
        (void)option_unknown(w, d->defname);
    }
}

static void options_default(struct copy_options *o)
{
    bool is_csv = o->copy.format == LINEAGE_COPY_AS_CSV;
    struct lineage_copy *c = &o->copy;
    c->delimiter = c->delimiter != 0 ? c->delimiter : is_csv ? ',' : '\t';
    c->quote = c->quote != 0 ? c->quote : '"';
    c->escape = c->escape != 0 ? c->escape : c->quote;
    if (!o->has_null && !is_csv) {
        memcpy(c->null_text, "\\N", 3);
    }
}

static void options_read(struct walk *w, const PgQuery__CopyStmt *s, struct lineage_copy *out)
{
    struct copy_options o = {0};
    for (size_t i = 0; i < s->n_options; i++) {
        if (s->options[i]->node_case == PG_QUERY__NODE__NODE_DEF_ELEM) {
            option_take(w, s->options[i]->def_elem, &o);
        } else {
            (void)option_unknown(w, "?");
        }
    }
    options_default(&o);
    *out = o.copy;
}

/* ---- what is copied -------------------------------------------------------------------------- */

/* Without a list: all columns but generated ones (CopyGetAttnums). */
static void table_columns(struct walk *w, const PgQuery__CopyStmt *s, struct columns *out)
{
    const struct catalog_relation *r =
        relation_find(w, s->relation->schemaname, s->relation->relname);
    struct columns all = {0};
    if (r == NULL) {
        *out = (struct columns){.is_open = true, .rest = {.origin = LINEAGE_UNKNOWN}};
        return;
    }
    relation_columns(w, r, &all);
    for (size_t i = 0; s->n_attlist == 0 && i < r->column_count && w->failed == OK; i++) {
        if (!r->columns[i].is_generated) {
            columns_add(w, out, all.items[i].name, all.items[i].value);
        }
    }
    for (size_t i = 0; i < s->n_attlist && w->failed == OK; i++) {
        const char *name = node_text(s->attlist[i]);
        struct value v = {0};
        if (name == NULL || columns_find(&all, name, &v) == FIND_NONE) {
            v = note_unknown(w, "the column %s is not known", name == NULL ? "" : name);
        }
        columns_add(w, out, name, v);
    }
}

static void copy_from(struct walk *w, const PgQuery__CopyStmt *s)
{
    struct level level = {0};
    struct item *i = item_new(w, s->relation == NULL ? "" : s->relation->relname);
    if (s->filename[0] != '\0' || s->is_program) {
        (void)note_unknown(w, "what COPY reads from %s is not known",
                           s->is_program ? "a program" : "a file");
    }
    if (i == NULL || s->relation == NULL) {
        (void)note_unknown(w, "a part of %s is missing", "COPY");
        return;
    }
    const struct catalog_relation *r =
        relation_find(w, s->relation->schemaname, s->relation->relname);
    if (r != NULL) {
        relation_columns(w, r, &i->columns);
        (void)writing_check(w, r);
    }
    w->level = &level;
    names_add(w, &level.names, i);
    expr_filter(w, s->where_clause, "COPY ... WHERE");
    w->level = NULL;
}

void copy_walk(struct walk *w, const PgQuery__CopyStmt *s, struct found *f)
{
    w->effects->may_speak = true;
    if (s->is_from) {
        copy_from(w, s);
        return;
    }
    struct columns out = {0};
    if (s->query != NULL) {
        query_any(w, s->query, &out);
    } else if (s->relation != NULL) {
        table_columns(w, s, &out);
    } else {
        (void)note_unknown(w, "a part of %s is missing", "COPY");
    }
    if (s->is_program) {
        (void)note_unknown(w, "what the program of %s does is not known", "COPY");
    }
    if (s->is_program || s->filename[0] != '\0') {
        note_stored_columns(w, &out, "COPY to a file or program");
        return;
    }
    f->kind = LINEAGE_COPY_OUT;
    f->outputs = out;
    options_read(w, s, &f->copy);
}
