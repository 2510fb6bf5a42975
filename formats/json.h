/* Building JSON from texts that may be anything and integers that need all their digits.
 *
 * Every function adds one member to an object, or with a NULL name one item to an array. A failed
 * allocation is remembered, and `json_write_line` then writes nothing. */
#ifndef CHAPERONE_FORMATS_JSON_H
#define CHAPERONE_FORMATS_JSON_H

#include <cjson/cJSON.h>
#include <stdio.h>

#include "base/bytes.h"

struct json {
    cJSON *root;
    bool failed; /* stays: an object is built whole and checked once */
};

/* A failed creation is marked in `j`. */
void json_init(struct json *j);
void json_finish(struct json *j);

void json_add_text(struct json *j, cJSON *to, const char *name, struct bytes text);
/* NULL gives null. */
void json_add_string(struct json *j, cJSON *to, const char *name, const char *text);
void json_add_unsigned(struct json *j, cJSON *to, const char *name, uint64_t value);
void json_add_signed(struct json *j, cJSON *to, const char *name, int64_t value);
void json_add_bool(struct json *j, cJSON *to, const char *name, bool value);
void json_add_null(struct json *j, cJSON *to, const char *name);
/* RFC 3339, with microseconds. */
void json_add_time(struct json *j, cJSON *to, const char *name, int64_t wall_ns);
/* "\x" and hex digits. */
void json_add_hex(struct json *j, cJSON *to, const char *name, struct bytes data);
/* Return the new member, borrowed; NULL when memory is short (and `j` is failed), which the
 * other functions take as `to` and do nothing. */
cJSON *json_add_object(struct json *j, cJSON *to, const char *name);
cJSON *json_add_array(struct json *j, cJSON *to, const char *name);
/* An array of them. */
void json_add_strings(struct json *j, cJSON *to, const char *name, char *const *items,
                      size_t count);

/* One line, safe for a terminal. ERR_NO_MEMORY when anything above failed: then nothing is written.
 */
enum err json_write_line(struct json *j, FILE *out) MUST_USE;

#endif
