/* How the target reads bytes. client_encoding and standard_conforming_strings say where a quote
 * ends, and the target reports a change only with its next ReadyForQuery: what is sent in one go
 * with something that may change them could mean something else there than here. */
#include "sidecar/protocol/postgres/postgres_internal.h"

static bool has_high_bytes(struct bytes text)
{
    for (size_t i = 0; i < text.size; i++) {
        if (text.data[i] >= 0x80) {
            return true;
        }
    }
    return false;
}

static bool has_backslash(struct bytes text)
{
    return text.size > 0 && memchr(text.data, '\\', text.size) != NULL;
}

const struct pg_refusal postgres_reading_refusal = {
    .sqlstate = PG_SQLSTATE_FEATURE_NOT_SUPPORTED,
    .message = "what is before it in the same batch may change how its bytes are read",
    .hint = "Send COPY, and a text with a backslash or other characters than ASCII, in a batch of "
            "its own."};

const char *postgres_reading_ambiguous(const struct postgres *p, struct bytes text)
{
    if (!p->is_ascii_safe && has_high_bytes(text)) {
        return "in this client_encoding Chaperone cannot tell a statement's quotes for sure; use "
               "UTF8";
    }
    if (!p->standard_strings && has_backslash(text)) {
        return "with standard_conforming_strings off Chaperone takes no backslash in a statement";
    }
    return NULL;
}

static const struct sql_analysis *analysis_of(struct postgres *p, struct bytes text)
{
    const struct sql_analysis *a = NULL;
    struct sql_error error;
    return sql_cache_analyse(p->shared->sql, text, &a, &error) == OK ? a : NULL;
}

static bool is_copy(const struct sql_statement *s)
{
    return strcmp(s->command, "COPY") == 0;
}

/* What COPY gives is told apart by its bytes, and masked by that. */
static bool copies(struct postgres *p, struct bytes text)
{
    const struct sql_analysis *a = p->masking.masks == NULL ? NULL : analysis_of(p, text);
    for (size_t i = 0; a != NULL && i < a->statement_count; i++) {
        if (is_copy(&a->statements[i])) {
            return true;
        }
    }
    return false;
}

/* The target reports what changed with ReadyForQuery: until it comes, nobody knows. */
static bool is_unsettled(const struct postgres *p)
{
    return p->reads_otherwise > p->queue.settled;
}

bool postgres_reading_is_open(struct postgres *p, struct bytes text, bool *out_waits)
{
    bool is_open = is_unsettled(p);
    /* In a batch: where the answer to what is before it tells. */
    bool may_wait =
        p->batch_open ? is_open && p->reads_otherwise <= p->queue.ready : p->queue.count > 0;
    bool depends =
        (may_wait || is_open) && (has_high_bytes(text) || has_backslash(text) || copies(p, text));
    *out_waits = depends && may_wait;
    return depends && !may_wait;
}

/* Drivers send BEGIN together with what follows it. */
static bool is_begin(const struct sql_statement *s)
{
    return s->transaction == SQL_TRANSACTION_BEGIN;
}

/* COPY is not looked at before it runs. Whatever else has constants may run code when it is parsed,
 * and any statement may run a function that calls set_config. */
void postgres_reading_parsed(struct postgres *p, struct bytes text)
{
    const struct sql_analysis *a = analysis_of(p, text);
    bool is_inert = a != NULL && a->statement_count == 1 &&
                    (is_begin(&a->statements[0]) || is_copy(&a->statements[0]));
    if (!is_inert) {
        p->reads_otherwise = p->queue.pushed;
    }
}

void postgres_reading_bound(struct postgres *p, struct pg_portal *portal)
{
    const struct pg_statement *s = portal->statement;
    const struct sql_analysis *a = analysis_of(p, bytes_of(s->text, s->text_size));
    if (a == NULL || a->statement_count != 1 || !is_begin(&a->statements[0])) {
        portal->reads_otherwise = true;
        postgres_reading_changed(p);
    }
    portal->bound = p->bound;
}

/* Its Bind may have been answered long before. */
void postgres_reading_executed(struct postgres *p, const struct pg_portal *portal)
{
    if (portal->reads_otherwise) {
        postgres_reading_changed(p);
    }
}

void postgres_reading_changed(struct postgres *p)
{
    p->reads_otherwise = p->queue.pushed;
    p->bound++;
}

static bool copies_text(const struct pg_plan *plan, size_t at)
{
    return plan->rows[at].is_copy && plan->rows[at].copy.format != LINEAGE_COPY_AS_BINARY;
}

static const char unknown_encoding[] =
    "the encoding of this COPY is not known for sure; send it in a statement of its own, in UTF8";

const char *postgres_reading_copy(const struct postgres *p, const struct sql_analysis *a,
                                  const struct pg_plan *plan)
{
    bool is_known = p->is_ascii_safe && !is_unsettled(p);
    for (size_t i = 0; i < plan->count && i < a->statement_count; i++) {
        if (copies_text(plan, i) && !is_known) {
            return unknown_encoding;
        }
        is_known = is_known && is_begin(&a->statements[i]);
    }
    return NULL;
}

bool postgres_reading_is_same(const struct postgres *p, const struct pg_portal *portal)
{
    return portal->plan == NULL || portal->plan->count == 0 || !copies_text(portal->plan, 0) ||
           (p->is_ascii_safe && portal->bound == p->bound);
}
