/* Reading JSON that must be exactly as it was specified. Borrows from cJSON's tree. */
#ifndef CHAPERONE_CLI_VERIFY_JSON_READ_H
#define CHAPERONE_CLI_VERIFY_JSON_READ_H

#include <cjson/cJSON.h>

#include "base/bytes.h"

/* The whole of `json` is one document, and no object in it has a key twice. Owned: cJSON_Delete.
 * NULL otherwise. */
cJSON *json_read(struct bytes json) MUST_USE;

/* That an object has these keys and no others, in any order; `keys` ends with NULL. */
bool json_read_has_keys(const cJSON *object, const char *const *keys);

/* Each reads one member and says whether it is there and of that kind. */
bool json_read_string(const cJSON *object, const char *key, const char **out);
bool json_read_string_or_null(const cJSON *object, const char *key, const char **out);
/* A whole number up to 2^53. */
bool json_read_number(const cJSON *object, const char *key, uint64_t *out);
/* `size` bytes in lower-case hex. */
bool json_read_hex(const cJSON *object, const char *key, uint8_t *out, size_t size);

#endif
