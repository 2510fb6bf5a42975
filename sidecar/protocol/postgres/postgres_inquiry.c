/* Questions of our own to the target, between two messages of the agent. By the extended protocol
 * and under names of our own: a simple Query would destroy the agent's unnamed statement. */
#include <assert.h>

#include "sidecar/protocol/postgres/postgres_internal.h"

static const char own_name[] = "chaperone_inquiry";

static enum err write_query(struct buffer *out, enum catalog_query query)
{
    struct bytes name = bytes_of_string(own_name);
    /* One that failed was not closed at its end: its Close was skipped with the rest. */
    enum err e = pg_write_target(out, PG_FRONTEND_CLOSE, 'S', name);
    e = e == OK ? pg_write_parse(out, name, bytes_of_string(catalog_query_text(query)), NULL, 0)
                : e;
    e = e == OK ? pg_write_bind(out, name, (struct bytes){0}) : e;
    e = e == OK ? pg_write_execute(out, name, 0) : e;
    e = e == OK ? pg_write_target(out, PG_FRONTEND_CLOSE, 'P', name) : e;
    return e == OK ? pg_write_target(out, PG_FRONTEND_CLOSE, 'S', name) : e;
}

static enum protocol_step ask(struct postgres *p, const enum catalog_query *queries, size_t count)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        e = write_query(&p->out, queries[i]);
    }
    e = e == OK ? pg_write_sync(&p->out) : e;
    p->masking.query = 0;
    buffer_clear(&p->masking.fingerprint);
    return postgres_send(p, SIDE_TARGET, e);
}

static enum protocol_step ask_fingerprint(struct postgres *p)
{
    static const enum catalog_query queries[] = {CATALOG_QUERY_FINGERPRINT};
    struct pg_masking *m = &p->masking;
    m->step = PG_INQUIRY_FINGERPRINT;
    m->is_broken_answer = false;
    m->changes_before = m->place == NULL ? 0 : catalog_place_changes(m->place);
    return ask(p, queries, 1);
}

enum protocol_step postgres_inquiry_start(struct postgres *p)
{
    p->masking.attempts = 0;
    enum protocol_step step = ask_fingerprint(p);
    return step == PROTOCOL_MORE ? PROTOCOL_WAIT : step;
}

/* The fingerprint again at the end: a snapshot is of one moment when it is still the same. */
static const enum catalog_query load_queries[] = {
    CATALOG_QUERY_PATH,    CATALOG_QUERY_RELATIONS, CATALOG_QUERY_COLUMNS,    CATALOG_QUERY_VIEWS,
    CATALOG_QUERY_PARENTS, CATALOG_QUERY_NAMES,     CATALOG_QUERY_FINGERPRINT};

enum { LOAD_QUERIES = sizeof(load_queries) / sizeof(load_queries[0]) };
static_assert((int)LOAD_QUERIES == (int)CATALOG_QUERY_COUNT, "every query is asked");

/* ---- answers ------------------------------------------------------------------------------- */

static enum err take_values(struct pg_masking *m, const struct bytes *values, size_t count)
{
    bool is_fingerprint = m->step == PG_INQUIRY_FINGERPRINT || m->query == LOAD_QUERIES - 1;
    if (is_fingerprint) {
        /* NULL: the transaction cannot see what names mean now. */
        return count == 1 && values[0].data != NULL ? buffer_append(&m->fingerprint, values[0])
                                                    : ERR_INVALID;
    }
    return m->query < LOAD_QUERIES
               ? catalog_loader_row(m->loader, load_queries[m->query], values, count)
               : ERR_INVALID;
}

static void take_row(struct pg_masking *m, struct bytes body)
{
    struct pg_values row;
    struct bytes values[CATALOG_VALUES_MAX];
    struct pg_value value;
    size_t count = 0;
    bool good = pg_wire_read_row(body, &row) == WIRE_OK && row.count <= CATALOG_VALUES_MAX;
    while (good && pg_values_next(&row, &value)) {
        values[count++] = value.is_null          ? (struct bytes){0}
                          : value.data.size == 0 ? bytes_of("", 0)
                                                 : value.data;
    }
    if (!good || take_values(m, values, count) != OK) {
        m->is_broken_answer = true;
    }
}

static void end(struct postgres *p, struct catalog *catalog)
{
    struct pg_masking *m = &p->masking;
    catalog_loader_destroy(m->loader);
    m->loader = NULL;
    m->step = PG_INQUIRY_NONE;
    if (catalog == NULL) {
        m->has_failed = true;
        return;
    }
    m->checked_ns = p->link->ops->monotonic_ns(p->link);
    m->changes_seen = m->changes_before;
    if (catalog != m->catalog) {
        catalog_unref(m->catalog);
        m->catalog = catalog;
        postgres_masking_mark(p);
    } else {
        catalog_unref(catalog);
    }
    m->is_stale = false;
}

static struct catalog *find_known(struct pg_masking *m)
{
    struct bytes fingerprint = buffer_bytes(&m->fingerprint);
    if (m->catalog != NULL && catalog_is_current(m->catalog, fingerprint)) {
        catalog_ref(m->catalog);
        return m->catalog;
    }
    return m->place == NULL ? NULL : catalog_place_find(m->place, fingerprint);
}

static enum protocol_step start_load(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    struct bytes fingerprint = buffer_bytes(&m->fingerprint);
    m->loader = catalog_loader_create();
    if (m->loader == NULL ||
        catalog_loader_row(m->loader, CATALOG_QUERY_FINGERPRINT, &fingerprint, 1) != OK) {
        end(p, NULL);
        return PROTOCOL_MORE;
    }
    m->step = PG_INQUIRY_LOAD;
    return ask(p, load_queries, LOAD_QUERIES);
}

static enum protocol_step end_load(struct postgres *p)
{
    struct pg_masking *m = &p->masking;
    struct catalog *catalog = NULL;
    enum err e = catalog_loader_finish(m->loader, &catalog);
    catalog_loader_destroy(m->loader);
    m->loader = NULL;
    bool is_torn = e == ERR_UNAVAILABLE ||
                   (e == OK && !catalog_is_of_one_moment(catalog, buffer_bytes(&m->fingerprint)));
    if (is_torn && ++m->attempts < PG_INQUIRY_ATTEMPTS) {
        catalog_unref(catalog);
        return ask_fingerprint(p); /* somebody else changed it meanwhile */
    }
    if (e != OK || is_torn) {
        catalog_unref(catalog);
        catalog = NULL;
    }
    struct catalog *known = catalog == NULL ? NULL : find_known(m);
    if (known != NULL) { /* of another session, which read it at the same time */
        catalog_unref(catalog);
        catalog = known;
    } else if (catalog != NULL && m->place != NULL && p->transaction == 'I') {
        catalog_place_put(m->place, catalog);
    }
    end(p, catalog);
    return PROTOCOL_MORE;
}

static enum protocol_step on_ready(struct postgres *p, struct bytes body)
{
    struct pg_masking *m = &p->masking;
    uint8_t status = 0;
    if (pg_wire_read_ready(body, &status) != WIRE_OK) {
        return PROTOCOL_CLOSE;
    }
    p->transaction = status;
    if (m->is_broken_answer) {
        end(p, NULL);
        return PROTOCOL_MORE;
    }
    if (m->step == PG_INQUIRY_LOAD) {
        return end_load(p);
    }
    struct catalog *known = find_known(m);
    if (known != NULL) {
        end(p, known);
        return PROTOCOL_MORE;
    }
    return start_load(p);
}

bool postgres_inquiry_is_running(const struct postgres *p)
{
    return p->masking.step != PG_INQUIRY_NONE;
}

enum protocol_step postgres_inquiry_answer(struct postgres *p, uint8_t type, struct bytes body)
{
    switch (type) {
    case PG_BACKEND_DATA_ROW: take_row(&p->masking, body); break;
    case PG_BACKEND_COMMAND_COMPLETE: p->masking.query++; break;
    case PG_BACKEND_ERROR: p->masking.is_broken_answer = true; break;
    case PG_BACKEND_READY: return on_ready(p, body);
    case PG_BACKEND_PARSE_COMPLETE:
    case PG_BACKEND_BIND_COMPLETE:
    case PG_BACKEND_CLOSE_COMPLETE:
    case PG_BACKEND_NO_DATA: break;
    default: p->masking.is_broken_answer = true; break;
    }
    return PROTOCOL_MORE;
}
