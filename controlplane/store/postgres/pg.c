#include "controlplane/store/postgres/pg.h"

#include <poll.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* pg_type.h: what PQprepare is told of parameters. */
enum {
    OID_BYTEA = 17,
    OID_INT8 = 20,
    OID_TEXT = 25,
    OID_BYTEA_ARRAY = 1001,
    OID_INT8_ARRAY = 1016,
};

/* ---- the connection ------------------------------------------------------------------------ */

static void failure_set(struct pg *db, const char *text)
{
    (void)snprintf(db->failure, sizeof(db->failure), "%s", text == NULL ? "" : text);
    /* libpq's sentences end with a line break. */
    for (size_t size = strlen(db->failure); size > 0 && db->failure[size - 1] == '\n'; size--) {
        db->failure[size - 1] = '\0';
    }
}

enum err pg_explain(const struct pg *db, enum err err, struct err_text *why)
{
    return err_set(why, err, "the database says: %s",
                   db->failure[0] == '\0' ? err_name(err) : db->failure);
}

static enum err session_set(struct pg *db, int timeout_ms)
{
    char text[800];
    (void)snprintf(
        text, sizeof(text),
        "SET client_min_messages = warning; SET client_encoding = 'UTF8';"
        "SET search_path = chaperone; SET lock_timeout = %d; SET statement_timeout = %d;"
        /* Who stands still with a lock, or whose host is gone, must not hold up the others. */
        "SET idle_in_transaction_session_timeout = 20000; SET tcp_keepalives_idle = 10;"
        "SET tcp_keepalives_interval = 5; SET tcp_keepalives_count = 3;"
        "SET tcp_user_timeout = 20000;"
        /* A commit must be durable when it returns; what is stricter than 'on' stays. */
        "SELECT set_config('synchronous_commit', 'on', false)"
        " WHERE current_setting('synchronous_commit') IN ('off', 'local')",
        STORE_BUSY_MS, timeout_ms);
    return pg_execute(db, text);
}

enum err pg_connect(struct pg *db, const char *url, int timeout_ms, struct err_text *why)
{
    /* What the URL says comes later, and so counts. */
    const char *const words[] = {
        "fallback_application_name", "connect_timeout",  "keepalives_idle", "keepalives_interval",
        "keepalives_count",          "tcp_user_timeout", "dbname",          NULL};
    const char *const values[] = {"chaperone", "5", "10", "5", "3", "20000", url, NULL};
    pg_disconnect(db);
    db->handle = PQconnectdbParams(words, values, 1);
    if (db->handle == NULL) {
        return ERR_NO_MEMORY;
    }
    if (PQstatus(db->handle) != CONNECTION_OK) {
        failure_set(db, PQerrorMessage(db->handle));
        pg_disconnect(db);
        return err_set(why, ERR_UNAVAILABLE, "the database cannot be reached: %s", db->failure);
    }
    (void)PQsetErrorVerbosity(db->handle, PQERRORS_TERSE);
    enum err err = session_set(db, timeout_ms);
    if (err != OK) {
        (void)pg_explain(db, err, why);
        pg_disconnect(db);
    }
    return err;
}

void pg_disconnect(struct pg *db)
{
    PQfinish(db->handle);
    db->handle = NULL;
    db->kept_count = 0;
}

bool pg_is_alive(struct pg *db)
{
    if (db->handle == NULL || PQstatus(db->handle) != CONNECTION_OK) {
        return false;
    }
    /* Between statements the server says nothing, except that it goes. */
    struct pollfd fd = {.fd = PQsocket(db->handle), .events = POLLIN};
    if (poll(&fd, 1, 0) > 0 &&
        (PQconsumeInput(db->handle) == 0 || fd.revents & (POLLHUP | POLLERR))) {
        return false;
    }
    return PQstatus(db->handle) == CONNECTION_OK;
}

/* Appendix A of PostgreSQL's manual. */
static enum err state_meaning(const char *state)
{
    static const struct {
        const char *prefix;
        enum err err;
    } meanings[] = {
        {"23505", ERR_EXISTS},      {"53100", ERR_FULL},        {"53200", ERR_UNAVAILABLE},
        {"53300", ERR_UNAVAILABLE}, {"53400", ERR_UNAVAILABLE}, {"55P03", ERR_UNAVAILABLE},
        {"57", ERR_UNAVAILABLE},    {"40", ERR_UNAVAILABLE},    {"08", ERR_UNAVAILABLE},
        {"25006", ERR_UNAVAILABLE}, {"25P03", ERR_UNAVAILABLE}, {"58", ERR_IO},
        {"XX001", ERR_IO},          {"XX002", ERR_IO},
    };
    for (size_t i = 0; i < sizeof(meanings) / sizeof(meanings[0]); i++) {
        if (strncmp(state, meanings[i].prefix, strlen(meanings[i].prefix)) == 0) {
            return meanings[i].err;
        }
    }
    return ERR_INTERNAL;
}

enum err pg_failed(struct pg *db, PGresult *result)
{
    const char *state = result == NULL ? NULL : PQresultErrorField(result, PG_DIAG_SQLSTATE);
    enum err err = ERR_UNAVAILABLE; /* without a state it is the connection that failed */
    if (state != NULL) {
        const char *primary = PQresultErrorField(result, PG_DIAG_MESSAGE_PRIMARY);
        failure_set(db, primary);
        err = state_meaning(state);
    } else {
        failure_set(db, PQerrorMessage(db->handle));
        err = PQstatus(db->handle) == CONNECTION_OK ? ERR_INTERNAL : ERR_UNAVAILABLE;
    }
    PQclear(result);
    return err;
}

/* ---- parameters ---------------------------------------------------------------------------------
 */

static uint64_t network_order(uint64_t v)
{
    uint8_t b[8];
    for (int i = 0; i < 8; i++) {
        b[i] = (uint8_t)(v >> (56 - 8 * i));
    }
    memcpy(&v, b, sizeof(v));
    return v;
}

static void put(struct pg_parameters *p, Oid type, const void *value, size_t size)
{
    p->types[p->count] = type;
    p->values[p->count] = value;
    p->sizes[p->count] = (int)size;
    p->formats[p->count] = 1;
    p->count++;
}

void pg_put_number(struct pg_parameters *p, int64_t value)
{
    p->numbers[p->count] = network_order((uint64_t)value);
    put(p, OID_INT8, &p->numbers[p->count], 8);
}

void pg_put_bytes(struct pg_parameters *p, struct bytes value)
{
    put(p, OID_BYTEA, value.size == 0 ? "" : (const char *)value.data, value.size);
}

void pg_put_string(struct pg_parameters *p, const char *value)
{
    pg_put_bytes(p, bytes_of_string(value));
}

void pg_put_optional_string(struct pg_parameters *p, const char *value)
{
    put(p, OID_BYTEA, value, value == NULL ? 0 : strlen(value));
}

void pg_put_ascii(struct pg_parameters *p, struct bytes value)
{
    put(p, OID_TEXT, value.size == 0 ? "" : (const char *)value.data, value.size);
}

void pg_put_numbers(struct pg_parameters *p, const struct buffer *array)
{
    struct bytes b = buffer_bytes(array);
    put(p, OID_INT8_ARRAY, b.data, b.size);
}

void pg_put_list(struct pg_parameters *p, const struct buffer *list)
{
    struct bytes b = buffer_bytes(list);
    put(p, OID_BYTEA_ARRAY, b.data, b.size);
}

/* array_send: dimensions, has-null, element type, then size and lower bound of the dimension. */
enum { ARRAY_HEADER = 20 };

static void store_u32(uint8_t *at, uint32_t v)
{
    at[0] = (uint8_t)(v >> 24);
    at[1] = (uint8_t)(v >> 16);
    at[2] = (uint8_t)(v >> 8);
    at[3] = (uint8_t)v;
}

static enum err header_add(struct buffer *array, uint32_t type)
{
    uint8_t header[ARRAY_HEADER] = {0};
    store_u32(header, 1);
    store_u32(header + 8, type);
    store_u32(header + 16, 1);
    return buffer_append(array, bytes_of(header, sizeof(header)));
}

enum err pg_array_start(struct buffer *array)
{
    return header_add(array, OID_INT8);
}

enum err pg_array_add(struct buffer *array, int64_t value)
{
    uint8_t item[12];
    uint64_t v = network_order((uint64_t)value);
    store_u32(item, 8);
    memcpy(item + 4, &v, 8);
    enum err err = buffer_append(array, bytes_of(item, sizeof(item)));
    if (err == OK) {
        store_u32(array->data + array->start + 12,
                  (uint32_t)((buffer_size(array) - ARRAY_HEADER) / sizeof(item)));
    }
    return err;
}

enum err pg_list_start(struct buffer *list)
{
    return header_add(list, OID_BYTEA);
}

enum err pg_list_add(struct buffer *list, struct bytes value)
{
    uint8_t size[4];
    store_u32(size, (uint32_t)value.size);
    enum err err = value.size > INT32_MAX ? ERR_LIMIT : buffer_append(list, bytes_of(size, 4));
    return err == OK ? buffer_append(list, value) : err;
}

void pg_list_end(struct buffer *list, size_t count)
{
    store_u32(list->data + list->start + 12, (uint32_t)count);
}

/* ---- statements ---------------------------------------------------------------------------------
 */

static enum err result_check(struct pg *db, PGresult *result, PGresult **out)
{
    ExecStatusType status = PQresultStatus(result);
    if (status != PGRES_COMMAND_OK && status != PGRES_TUPLES_OK) {
        return pg_failed(db, result);
    }
    *out = result;
    return OK;
}

enum err pg_execute(struct pg *db, const char *sql)
{
    PGresult *result = NULL;
    enum err err = result_check(db, PQexec(db->handle, sql), &result);
    if (err == OK) {
        PQclear(result);
    }
    return err;
}

static enum err prepare(struct pg *db, const char *sql, const struct pg_parameters *p, char *name,
                        size_t name_size)
{
    size_t at = 0;
    while (at < db->kept_count && db->kept[at].sql != sql) {
        at++;
    }
    (void)snprintf(name, name_size, "s%zu", at);
    if (at < db->kept_count) {
        return OK;
    }
    if (at == PG_STATEMENTS_MAX) {
        return ERR_INTERNAL;
    }
    PGresult *result = NULL;
    enum err err = result_check(db, PQprepare(db->handle, name, sql, p->count, p->types), &result);
    if (err == OK) {
        PQclear(result);
        db->kept[db->kept_count++].sql = sql;
    }
    return err;
}

static const struct pg_parameters no_parameters = {.count = 0};

enum err pg_query(struct pg *db, const char *sql, const struct pg_parameters *p, PGresult **out)
{
    char name[24];
    p = p == NULL ? &no_parameters : p;
    enum err err = prepare(db, sql, p, name, sizeof(name));
    return err == OK ? result_check(db,
                                    PQexecPrepared(db->handle, name, p->count, p->values, p->sizes,
                                                   p->formats, 1),
                                    out)
                     : err;
}

enum err pg_query_once(struct pg *db, const char *sql, const struct pg_parameters *p,
                       PGresult **out)
{
    return result_check(
        db, PQexecParams(db->handle, sql, p->count, p->types, p->values, p->sizes, p->formats, 1),
        out);
}

enum err pg_run(struct pg *db, const char *sql, const struct pg_parameters *p)
{
    PGresult *result = NULL;
    enum err err = pg_query(db, sql, p, &result);
    if (err == OK) {
        PQclear(result);
    }
    return err;
}

enum err pg_commit(struct pg *db)
{
    PGresult *result = NULL;
    enum err err = pg_query(db, "COMMIT", NULL, &result);
    if (err == OK) {
        /* What has failed before is rolled back, and that is no error. */
        err = strcmp(PQcmdStatus(result), "COMMIT") == 0 ? OK : ERR_INTERNAL;
        PQclear(result);
    }
    return err;
}

enum err pg_run_one(struct pg *db, const char *sql, const struct pg_parameters *p)
{
    PGresult *result = NULL;
    enum err err = pg_query(db, sql, p, &result);
    if (err == OK) {
        err = strcmp(PQcmdTuples(result), "0") == 0 ? ERR_NOT_FOUND : OK;
        PQclear(result);
    }
    return err;
}

enum err pg_ask_number(struct pg *db, const char *sql, const struct pg_parameters *p, int64_t *out)
{
    PGresult *result = NULL;
    enum err err = pg_query(db, sql, p, &result);
    if (err != OK) {
        return err;
    }
    if (PQntuples(result) == 0) {
        err = ERR_NOT_FOUND;
    } else {
        *out = pg_number(result, 0, 0);
    }
    PQclear(result);
    return err;
}
