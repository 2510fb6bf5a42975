#include "cli/reconcile/server_log.h"

#include <cjson/cJSON.h>
#include <stdlib.h>
#include <time.h>

struct server_log {
    enum server_log_format format;
    struct buffer room; /* fields without their quotes */
    cJSON *object;      /* of the last record */
};

enum {
    COLUMN_TIME = 0,
    COLUMN_USER = 1,
    COLUMN_DATABASE = 2,
    COLUMN_SESSION = 5,
    COLUMN_SEVERITY = 11,
    COLUMN_MESSAGE = 13,
    COLUMN_DETAIL = 14,
    COLUMN_QUERY = 19,
    COLUMN_APPLICATION = 22,
    COLUMNS_MIN = 23
};

enum server_log_format server_log_detect(struct bytes beginning)
{
    return beginning.size > 0 && beginning.data[0] == '{' ? SERVER_LOG_JSON : SERVER_LOG_CSV;
}

size_t server_log_split(enum server_log_format format, struct bytes input, bool is_end)
{
    bool is_quoted = false;
    for (size_t i = 0; i < input.size; i++) {
        uint8_t c = input.data[i];
        if (c == '"' && format == SERVER_LOG_CSV) {
            is_quoted = !is_quoted; /* a doubled quote changes it twice */
        } else if (c == '\n' && !is_quoted) {
            return i + 1;
        }
    }
    return is_end ? input.size : 0;
}

/* ---- CSV ------------------------------------------------------------------------------------ */

/* A quoted field; `*at` is behind its first quote, and then behind its last. */
static enum err read_quoted(struct bytes line, size_t *at, uint8_t *out, size_t *out_size)
{
    size_t i = *at, n = 0;
    while (i < line.size) {
        if (line.data[i] != '"') {
            out[n++] = line.data[i++];
        } else if (i + 1 < line.size && line.data[i + 1] == '"') {
            out[n++] = '"';
            i += 2;
        } else {
            *at = i + 1;
            *out_size = n;
            return OK;
        }
    }
    return ERR_INVALID;
}

enum err server_log_read_csv(struct bytes line, struct buffer *room, struct bytes *out, size_t max,
                             size_t *out_count)
{
    size_t count = 0, at = 0;
    buffer_clear(room);
    /* Without quotes a field only gets shorter: the line's size is enough for all. */
    uint8_t *to = buffer_reserve(room, line.size + 1);
    if (to == NULL) {
        return ERR_NO_MEMORY;
    }
    for (;;) {
        size_t size = 0;
        if (count == max) {
            return ERR_LIMIT;
        }
        if (at < line.size && line.data[at] == '"') {
            at++;
            if (read_quoted(line, &at, to, &size) != OK) {
                return ERR_INVALID;
            }
        } else {
            while (at < line.size && line.data[at] != ',' && line.data[at] != '"') {
                to[size++] = line.data[at++];
            }
        }
        out[count++] = bytes_of(to, size);
        to += size;
        if (at == line.size) {
            *out_count = count;
            return OK;
        }
        if (line.data[at] != ',') {
            return ERR_INVALID;
        }
        at++;
    }
}

static enum err parse_csv(struct server_log *l, struct bytes record, struct server_log_line *out,
                          struct bytes *out_time, struct err_text *why)
{
    struct bytes f[SERVER_LOG_COLUMNS_MAX];
    size_t count = 0;
    enum err e = server_log_read_csv(record, &l->room, f, SERVER_LOG_COLUMNS_MAX, &count);
    if (e == ERR_NO_MEMORY) {
        return e;
    }
    if (e != OK || count < COLUMNS_MIN) {
        return err_set(why, ERR_INVALID, "this is no record of csvlog or jsonlog");
    }
    *out_time = f[COLUMN_TIME];
    *out = (struct server_log_line){.user = f[COLUMN_USER],
                                    .database = f[COLUMN_DATABASE],
                                    .backend = f[COLUMN_SESSION],
                                    .severity = f[COLUMN_SEVERITY],
                                    .message = f[COLUMN_MESSAGE],
                                    .detail = f[COLUMN_DETAIL],
                                    .query = f[COLUMN_QUERY],
                                    .application = f[COLUMN_APPLICATION]};
    return OK;
}

/* ---- JSON ----------------------------------------------------------------------------------- */

static struct bytes text_of(const cJSON *object, const char *name)
{
    return bytes_of_string(cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name)));
}

static enum err parse_json(struct server_log *l, struct bytes record, struct server_log_line *out,
                           struct bytes *out_time, struct err_text *why)
{
    const char *end = NULL;
    cJSON_Delete(l->object);
    l->object = cJSON_ParseWithLengthOpts((const char *)record.data, record.size, &end, 0);
    const cJSON *o = l->object;
    if (!cJSON_IsObject(o) || end != (const char *)record.data + record.size) {
        return err_set(why, ERR_INVALID, "this is no record of jsonlog");
    }
    *out_time = text_of(o, "timestamp");
    *out = (struct server_log_line){.user = text_of(o, "user"),
                                    .database = text_of(o, "dbname"),
                                    .backend = text_of(o, "session_id"),
                                    .severity = text_of(o, "error_severity"),
                                    .message = text_of(o, "message"),
                                    .detail = text_of(o, "detail"),
                                    .query = text_of(o, "statement"),
                                    .application = text_of(o, "application_name")};
    return OK;
}

/* ---- times ---------------------------------------------------------------------------------- */

static bool read_digits(struct bytes *in, size_t count, int *out)
{
    int value = 0;
    if (in->data == NULL || in->size < count) {
        return false;
    }
    for (size_t i = 0; i < count; i++) {
        if (in->data[i] < '0' || in->data[i] > '9') {
            return false;
        }
        value = value * 10 + (in->data[i] - '0');
    }
    *in = bytes_of(in->data + count, in->size - count);
    *out = value;
    return true;
}

static bool skip(struct bytes *in, char c)
{
    if (in->size == 0 || in->data[0] != (uint8_t)c) {
        return false;
    }
    *in = bytes_of(in->data + 1, in->size - 1);
    return true;
}

static bool read_zone(struct bytes zone, int *out_s)
{
    int hours = 0, minutes = 0;
    if (bytes_equal_string(zone, "UTC") || bytes_equal_string(zone, "GMT")) {
        *out_s = 0;
        return true;
    }
    bool is_west = zone.size > 0 && zone.data[0] == '-';
    if ((!skip(&zone, '-') && !skip(&zone, '+')) || !read_digits(&zone, 2, &hours)) {
        return false;
    }
    (void)skip(&zone, ':');
    if (zone.size > 0 && !read_digits(&zone, 2, &minutes)) {
        return false;
    }
    *out_s = (hours * 60 + minutes) * (is_west ? -60 : 60);
    return zone.size == 0;
}

enum err server_log_read_time(struct bytes in, int64_t *out_ns)
{
    struct tm t = {0};
    int ms = 0, zone_s = 0;
    bool ok = read_digits(&in, 4, &t.tm_year) && skip(&in, '-') && read_digits(&in, 2, &t.tm_mon) &&
              skip(&in, '-') && read_digits(&in, 2, &t.tm_mday) && skip(&in, ' ') &&
              read_digits(&in, 2, &t.tm_hour) && skip(&in, ':') && read_digits(&in, 2, &t.tm_min) &&
              skip(&in, ':') && read_digits(&in, 2, &t.tm_sec) && skip(&in, '.') &&
              read_digits(&in, 3, &ms) && skip(&in, ' ') && read_zone(in, &zone_s);
    if (!ok || t.tm_mon < 1 || t.tm_mon > 12 || t.tm_year < 1970) {
        return ERR_INVALID;
    }
    t.tm_year -= 1900;
    t.tm_mon -= 1;
    int64_t seconds = (int64_t)timegm(&t) - zone_s;
    if (seconds < 0 || seconds > INT64_MAX / 1000000000 - 1) {
        return ERR_INVALID;
    }
    *out_ns = seconds * 1000000000 + (int64_t)ms * 1000000;
    return OK;
}

/* ---- a record ------------------------------------------------------------------------------- */

static bool is_break(uint8_t c)
{
    return c == '\n' || c == '\r';
}

enum err server_log_parse(struct server_log *l, struct bytes record, struct server_log_line *out,
                          struct err_text *why)
{
    struct server_log_line line = {0};
    struct bytes time = {0};
    while (record.size > 0 && is_break(record.data[record.size - 1])) {
        record.size--;
    }
    if (record.size == 0) {
        return ERR_NOT_FOUND;
    }
    enum err e = l->format == SERVER_LOG_CSV ? parse_csv(l, record, &line, &time, why)
                                             : parse_json(l, record, &line, &time, why);
    if (e == OK && server_log_read_time(time, &line.time_ns) != OK) {
        e = err_set(why, ERR_INVALID,
                    "its time \"%.*s\" is not understood: log_timezone must be UTC",
                    (int)(time.size > 40 ? 40 : time.size), (const char *)time.data);
    }
    if (e == OK) {
        *out = line;
    }
    return e;
}

struct server_log *server_log_create(enum server_log_format format)
{
    struct server_log *l = calloc(1, sizeof(*l));
    if (l != NULL) {
        l->format = format;
        buffer_init(&l->room, SERVER_LOG_RECORD_MAX + 1);
    }
    return l;
}

void server_log_destroy(struct server_log *l)
{
    if (l != NULL) {
        buffer_finish(&l->room);
        cJSON_Delete(l->object);
        free(l);
    }
}
