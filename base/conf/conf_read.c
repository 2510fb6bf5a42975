#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/conf/conf_node.h"

/* What stands there, for "found ...": short, and printable whatever the document holds. */
enum { FOUND_SIZE = 64 };

static const char *found(const struct conf_node *n, char out[FOUND_SIZE])
{
    switch (n->kind) {
    case CONF_NULL: return "nothing";
    case CONF_LIST: return "a list";
    case CONF_MAP: return "a map";
    case CONF_SCALAR: break;
    }
    const size_t limit = FOUND_SIZE - 8;
    size_t size = 0;
    out[size++] = '"';
    const char *p = n->text;
    for (; *p != '\0' && size < limit; p++) {
        bool printable = (unsigned char)*p >= ' ' && *p != 0x7f;
        out[size++] = *p;
        if (!printable) {
            out[size - 1] = '?';
        }
    }
    if (*p != '\0') {
        /* Not in the middle of a character: RFC 3629 section 3. */
        while (size > 1 && ((unsigned char)out[size - 1] & 0xc0) == 0x80) {
            size--;
        }
        if ((unsigned char)out[size - 1] >= 0xc0) {
            size--;
        }
        memcpy(out + size, "...", 3);
        size += 3;
    }
    out[size++] = '"';
    out[size] = '\0';
    return out;
}

static enum err expected(const struct conf_node *n, struct err_text *error, const char *what)
{
    char text[FOUND_SIZE];
    return conf_fail(n, error, "expected %s, found %s", what, found(n, text));
}

/* The member of `map`; `*out` stays NULL where there is none and on failure. */
static enum err member(const struct conf_node *map, const char *key, const struct conf_node **out,
                       struct err_text *error)
{
    if (map->kind != CONF_MAP) {
        return expected(map, error, "a map");
    }
    *out = conf_get(map, key);
    return OK;
}

enum err conf_require(const struct conf_node *map, const char *key, struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    if (e != OK || n != NULL) {
        return e;
    }
    char path[CONF_PATH_SIZE];
    conf_path(map, path);
    return err_set(error, ERR_INVALID, "%s:%u:%u: %s%s%s: required, but missing", map->conf->name,
                   map->line, map->column, path, path[0] == '\0' ? "" : ".", key);
}

enum err conf_as_string(const struct conf_node *n, const char **out, struct err_text *error)
{
    if (n->kind != CONF_SCALAR) {
        return expected(n, error, "a string");
    }
    if (n->text[0] == '\0') {
        return conf_fail(n, error, "expected a string, found an empty one");
    }
    *out = n->text;
    return OK;
}

enum err conf_as_bool(const struct conf_node *n, bool *out, struct err_text *error)
{
    bool is_true = n->kind == CONF_SCALAR && n->plain && strcmp(n->text, "true") == 0;
    if (!is_true && !(n->kind == CONF_SCALAR && n->plain && strcmp(n->text, "false") == 0)) {
        return expected(n, error, "true or false");
    }
    *out = is_true;
    return OK;
}

/* Digits at the start of `text`, within `max`; false when there are none or too many. */
static bool digits_read(const char *text, uint64_t max, uint64_t *out, const char **out_rest)
{
    uint64_t value = 0;
    const char *p = text;
    for (; *p >= '0' && *p <= '9'; p++) {
        unsigned digit = (unsigned)(*p - '0');
        if (value > (max - digit) / 10) {
            return false;
        }
        value = value * 10 + digit;
    }
    if (p == text || (text[0] == '0' && p - text > 1)) {
        return false;
    }
    *out = value;
    *out_rest = p;
    return true;
}

bool conf_text_is_integer(const char *text, int64_t *out)
{
    bool negative = text[0] == '-';
    uint64_t value;
    const char *rest;
    if (!digits_read(text + negative, (uint64_t)INT64_MAX + negative, &value, &rest) ||
        *rest != '\0' || (negative && value == 0)) {
        return false;
    }
    *out = negative ? (int64_t)(~value + 1) : (int64_t)value;
    return true;
}

enum err conf_as_integer(const struct conf_node *n, const char *what, int64_t min, int64_t max,
                         int64_t *out, struct err_text *error)
{
    int64_t value;
    if (n->kind != CONF_SCALAR || !n->plain || !conf_text_is_integer(n->text, &value) ||
        value < min || value > max) {
        char text[FOUND_SIZE];
        return conf_fail(n, error, "expected %s between %" PRId64 " and %" PRId64 ", found %s%s",
                         what, min, max, found(n, text),
                         n->kind == CONF_SCALAR && !n->plain ? " in quotes" : "");
    }
    *out = value;
    return OK;
}

struct unit {
    const char *name;
    uint64_t factor;
};

static const struct unit durations[] = {
    {"ms", 1000000u},
    {"s", 1000000000u},
    {"m", 60u * UINT64_C(1000000000)},
    {"h", UINT64_C(3600000000000)},
    {"d", UINT64_C(86400000000000)},
    {NULL, 0},
};

static const struct unit sizes[] = {
    {"", 1}, {"KiB", 1 << 10}, {"MiB", 1 << 20}, {"GiB", 1 << 30}, {NULL, 0},
};

static bool quantity_read(const struct conf_node *n, const struct unit *units, uint64_t *out)
{
    uint64_t value;
    const char *rest;
    if (n->kind != CONF_SCALAR || !digits_read(n->text, INT64_MAX, &value, &rest)) {
        return false;
    }
    for (; units->name != NULL; units++) {
        if (strcmp(units->name, rest) == 0) {
            if (value > INT64_MAX / units->factor) {
                return false;
            }
            *out = value * units->factor;
            return true;
        }
    }
    return false;
}

enum { QUANTITY_SIZE = 32 };

/* In the largest unit that gives a whole number. */
static const char *quantity_format(uint64_t value, const struct unit *units,
                                   char out[QUANTITY_SIZE])
{
    const struct unit *best = units;
    for (const struct unit *u = units; u->name != NULL; u++) {
        if (value >= u->factor && value % u->factor == 0) {
            best = u;
        }
    }
    (void)snprintf(out, QUANTITY_SIZE, "%" PRIu64 "%s", value / best->factor, best->name);
    return out;
}

static enum err quantity_expected(const struct conf_node *n, const char *what,
                                  const struct unit *units, uint64_t min, uint64_t max,
                                  const char *examples, struct err_text *error)
{
    char low[QUANTITY_SIZE], high[QUANTITY_SIZE], text[FOUND_SIZE];
    return conf_fail(n, error, "expected %s between %s and %s, such as %s, found %s", what,
                     quantity_format(min, units, low), quantity_format(max, units, high), examples,
                     found(n, text));
}

enum err conf_as_duration(const struct conf_node *n, int64_t min_ns, int64_t max_ns,
                          int64_t *out_ns, struct err_text *error)
{
    uint64_t value;
    uint64_t min = (uint64_t)min_ns, max = (uint64_t)max_ns;
    if (!quantity_read(n, durations, &value) || value < min || value > max) {
        return quantity_expected(n, "a duration", durations, min, max,
                                 "\"30s\", \"5m\", \"2h\" or \"7d\"", error);
    }
    *out_ns = (int64_t)value;
    return OK;
}

enum err conf_as_size(const struct conf_node *n, uint64_t min, uint64_t max, uint64_t *out,
                      struct err_text *error)
{
    uint64_t value;
    if (!quantity_read(n, sizes, &value) || value < min || value > max) {
        return quantity_expected(n, "a size in bytes", sizes, min, max,
                                 "\"64KiB\", \"1MiB\" or \"2GiB\"", error);
    }
    *out = value;
    return OK;
}

enum err conf_read_string(const struct conf_node *map, const char *key, const char **out,
                          struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : conf_as_string(n, out, error);
}

enum err conf_read_bool(const struct conf_node *map, const char *key, bool *out,
                        struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : conf_as_bool(n, out, error);
}

enum err conf_read_integer(const struct conf_node *map, const char *key, const char *what,
                           int64_t min, int64_t max, int64_t *out, struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : conf_as_integer(n, what, min, max, out, error);
}

enum err conf_read_duration(const struct conf_node *map, const char *key, int64_t min_ns,
                            int64_t max_ns, int64_t *out_ns, struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : conf_as_duration(n, min_ns, max_ns, out_ns, error);
}

enum err conf_read_size(const struct conf_node *map, const char *key, uint64_t min, uint64_t max,
                        uint64_t *out, struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : conf_as_size(n, min, max, out, error);
}

enum err conf_read_choice(const struct conf_node *map, const char *key,
                          const struct conf_choice *choices, int *out, struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : conf_as_choice(n, choices, out, error);
}

static enum err of_kind(const struct conf_node *n, enum conf_kind kind, const char *what,
                        const struct conf_node **out, struct err_text *error)
{
    if (n->kind != kind) {
        return expected(n, error, what);
    }
    *out = n;
    return OK;
}

enum err conf_read_map(const struct conf_node *map, const char *key, const struct conf_node **out,
                       struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : of_kind(n, CONF_MAP, "a map", out, error);
}

enum err conf_read_list(const struct conf_node *map, const char *key, const struct conf_node **out,
                        struct err_text *error)
{
    const struct conf_node *n = NULL;
    enum err e = member(map, key, &n, error);
    return n == NULL ? e : of_kind(n, CONF_LIST, "a list", out, error);
}
