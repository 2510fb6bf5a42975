/* JSON from outside, read strictly: cJSON, minus what two readers could understand differently.
 *
 * Refused beyond what cJSON refuses: bytes after the value, members that come twice (RFC 8725
 * section 2.4: one reader takes the first, the next the last), NUL and \u0000 (cJSON ends the
 * string there: "admin\u0000x" would become "admin"), text that is not UTF-8, nesting
 * deeper than STRICT_JSON_DEPTH_MAX, objects of more than STRICT_JSON_MEMBERS_MAX members.
 * Pure: no I/O, no clock. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_STRICT_JSON_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_STRICT_JSON_H

#include <cjson/cJSON.h>

#include "base/bytes.h"

enum {
    /* Nested act claims (8) inside of objects of an issuer's own: twice that and more. */
    STRICT_JSON_DEPTH_MAX = 32,
    /* The search for duplicates is quadratic; no token or key has a tenth of it. */
    STRICT_JSON_MEMBERS_MAX = 512,
};

/* Returns owned in *out (cJSON_Delete); an object. ERR_INVALID; `what` names the document in
 * `why` ("the token's header"). */
enum err strict_json_parse(struct bytes text, const char *what, cJSON **out,
                           struct err_text *why) MUST_USE;

/* The member's text, or NULL when it is missing or no string. Borrows from `object`. */
const char *strict_json_string(const cJSON *object, const char *name) MUST_USE;

/* Finds "realm_access.roles": the whole path as one member's name first (names may be URLs with
 * dots in them), then each way to split it. NULL when nothing is there. Borrows from `object`. */
const cJSON *strict_json_find(const cJSON *object, const char *path) MUST_USE;

enum { STRICT_JSON_QUOTE_SIZE = 80 };
/* A printable, shortened copy of a text from outside, for an error sentence: "https://…". `out` has
 * STRICT_JSON_QUOTE_SIZE bytes; returns it. */
const char *strict_json_quote(const char *text, char *out);

#endif
