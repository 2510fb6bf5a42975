#include "controlplane/store/postgres/pg_sessions.h"

#include "controlplane/store/postgres/pg_store.h"

#define SESSION_SELECT                                                                             \
    "SELECT s.session, t.sidecar, i.name, s.on_behalf_of, r.name, s.protocol, s.database,"         \
    " s.agent_address, s.opened_ns, s.closed_ns, s.operations, s.state, s.close_reason"            \
    " FROM audit_session s JOIN audit_stream t ON t.id = s.stream"                                 \
    " LEFT JOIN audit_name i ON i.id = s.identity LEFT JOIN audit_name r ON r.id = s.resource"

static const char *state_name(int64_t state)
{
    switch ((enum session_state)state) {
    case SESSION_OPEN: return "open";
    case SESSION_REFUSED: return "refused";
    case SESSION_CLOSED:
    case SESSION_ABOUT: break;
    }
    return "closed";
}

static bool session_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_session *session = out_item;
    bool failed = false;
    session->session = pg_copy_string(result, row, 0, arena, &failed);
    session->sidecar = pg_copy_string(result, row, 1, arena, &failed);
    session->identity = pg_copy_string(result, row, 2, arena, &failed);
    session->on_behalf_of = pg_copy_string(result, row, 3, arena, &failed);
    session->resource = pg_copy_string(result, row, 4, arena, &failed);
    session->protocol = pg_copy_string(result, row, 5, arena, &failed);
    session->database = pg_copy_string(result, row, 6, arena, &failed);
    session->agent_address = pg_copy_string(result, row, 7, arena, &failed);
    session->opened_ns = pg_number(result, row, 8);
    session->closed_ns = pg_number(result, row, 9);
    session->operations = (uint64_t)pg_number(result, row, 10);
    session->state = state_name(pg_number(result, row, 11));
    session->close_reason = pg_copy_string(result, row, 12, arena, &failed);
    return !failed;
}

static enum err session_list(struct store *store, bool include_closed, size_t limit,
                             struct arena *arena, struct store_session **out_items,
                             size_t *out_count)
{
    static const char all[] =
        SESSION_SELECT " WHERE s.state <> 4 ORDER BY s.opened_ns DESC, s.id DESC LIMIT $1";
    static const char open[] =
        SESSION_SELECT " WHERE s.closed_ns = 0 ORDER BY s.opened_ns DESC, s.id DESC LIMIT $1";
    struct pg_parameters p = {.count = 0};
    void *items = NULL;
    pg_put_number(&p, limit == 0 || limit > INT64_MAX ? INT64_MAX : (int64_t)limit);
    enum err err =
        postgres_read_all(postgres_of(store), include_closed ? all : open, &p,
                          sizeof(struct store_session), session_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

static bool open_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_open_sessions *open = out_item;
    bool failed = false;
    open->sidecar = pg_copy_string(result, row, 0, arena, &failed);
    open->count = (uint64_t)pg_number(result, row, 1);
    return !failed;
}

static enum err session_count_open(struct store *store, struct arena *arena,
                                   struct store_open_sessions **out_items, size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(
        postgres_of(store),
        "SELECT t.sidecar, n.sessions FROM (SELECT stream, count(*) AS sessions"
        " FROM audit_session WHERE closed_ns = 0 GROUP BY stream) n"
        " JOIN audit_stream t ON t.id = n.stream ORDER BY t.sidecar",
        NULL, sizeof(struct store_open_sessions), open_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

static bool id_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    const char **id = out_item;
    bool failed = false;
    *id = pg_copy_string(result, row, 0, arena, &failed);
    return !failed;
}

static enum err session_list_open(struct store *store, const char *sidecar, size_t limit,
                                  struct arena *arena, const char ***out_ids, size_t *out_count)
{
    struct pg_parameters p = {.count = 0};
    void *ids = NULL;
    pg_put_string(&p, sidecar);
    pg_put_number(&p, (int64_t)limit);
    enum err err =
        postgres_read_all(postgres_of(store),
                          "SELECT session FROM audit_session WHERE closed_ns = 0 AND stream ="
                          " (SELECT id FROM audit_stream WHERE sidecar = $1)"
                          " ORDER BY opened_ns DESC, id DESC LIMIT $2",
                          &p, sizeof(const char *), id_read, arena, &ids, out_count);
    if (err == OK) {
        *out_ids = ids;
    }
    return err;
}

static enum err session_get(struct store *store, const char *session, struct arena *arena,
                            struct store_session *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, session);
    return postgres_read_one(postgres_of(store),
                             SESSION_SELECT
                             " WHERE s.session = $1 AND s.state <> 4 ORDER BY s.id LIMIT 1",
                             &p, sizeof(*out), session_read, arena, out);
}

void postgres_sessions_fill(struct store_backend *b)
{
    b->session_list = session_list;
    b->session_count_open = session_count_open;
    b->session_list_open = session_list_open;
    b->session_get = session_get;
}
