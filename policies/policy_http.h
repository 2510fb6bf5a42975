/* What rules say of requests of HTTP; for this folder only.
 *
 * A rule that allows matches narrowly: what surely is what it names. A rule that stops matches
 * widely: whatever a server might take for it. Servers differ in what upper case, an empty segment
 * or `name[]` means, and an agent may know which one it talks to. */
#ifndef CHAPERONE_POLICIES_HTTP_H
#define CHAPERONE_POLICIES_HTTP_H

#include "policies/policy_internal.h"

/* ---- texts ------------------------------------------------------------------------------ */

enum text_case { CASE_COUNTS, CASE_IGNORED };

/* As glob_matches. */
bool glob_matches_bytes(const char *pattern, struct bytes text, enum text_case which);
/* Whether a server might take this name for the other: without regard to case, with `-`, `.`, ` `
 * and `_` as one (CGI, PHP), and `name[...]` as `name`. */
bool name_may_be(const char *name, struct bytes text);

/* ---- numbers ---------------------------------------------------------------------------- */

enum { DECIMAL_DIGITS_MAX = 96, DECIMAL_EXPONENT_MAX = 9999 };

/* A number as JSON writes it (RFC 8259 section 6), exactly: 0.DIGITS times ten to `exponent`. */
struct decimal {
    bool is_negative;
    int32_t exponent;
    size_t digit_count; /* without zeros at either end; 0: zero */
    char digits[DECIMAL_DIGITS_MAX];
    double nearest; /* what a server that reads doubles takes it for */
};

/* False: it is no such number, or has more digits than anybody means. */
bool decimal_parse(const char *text, struct decimal *out);
/* < 0, 0, > 0. */
int decimal_compare(const struct decimal *a, const struct decimal *b);

/* ---- what a rule asks for --------------------------------------------------------------- */

/* A path or a JSON pointer, by its steps: "/customers/{id}", "/address/city". */
struct step_pattern {
    const char *text;         /* as written */
    const char *const *steps; /* NULL: any one */
    size_t count;
    bool has_rest; /* of a path: `**` at its end */
};

struct step_patterns {
    const struct step_pattern *items;
    size_t count;
};

/* Whether the narrow meaning of the path is what the pattern names. */
bool path_is(const struct step_pattern *p, const char *path);
/* Whether a server might take it for that: without regard to case, empty segments, what follows a
 * `;` in a segment, and a slash at the end. */
bool path_may_be(const struct step_pattern *p, const char *path);
/* Of JSON pointers likewise; what is below it may be it, and so may `/items[0][sku]` of a form. */
bool pointer_is(const struct step_pattern *p, struct bytes pointer, enum text_case which);
bool pointer_may_be(const struct step_pattern *p, struct bytes pointer);

/* What one value must be: one of the texts, or within the limits. */
struct value_pattern {
    struct texts texts;
    bool has_min, has_max;
    struct decimal min, max;
    bool has_lengths;
    uint64_t min_length, max_length; /* in characters */
};

bool value_is(const struct value_pattern *p, const char *value);
bool value_may_be(const struct value_pattern *p, struct bytes value);

struct http_condition {
    const char *name;            /* of a parameter or field */
    struct step_pattern pointer; /* of the body */
    struct value_pattern value;
};

struct http_conditions {
    const struct http_condition *items;
    size_t count;
};

struct http_match {
    struct texts methods; /* classes are taken apart; none: those that are known */
    struct texts hosts;
    struct step_patterns paths;
    struct http_conditions query, headers, body;
    bool websocket;
};

/* ---- one request and one rule ------------------------------------------------------------ */

/* Whether the request means one thing to every server: else nothing covers it. */
bool http_is_plain(const struct policy_http *http);
/* Something may be changed by it. */
bool http_is_lasting(const struct policy_http *http);

/* `*out_path`: the pattern that matched; left alone where the rule has none. */
bool http_covers(const struct rule *rule, const struct policy_http *http, const char **out_path);
bool http_stops(const struct rule *rule, const struct policy_http *http);
/* Whether the rule asks for the body of such a request. */
bool http_asks_for_body(const struct rule *rule, const struct policy_http *http);

/* The methods that rules without `methods` are about, NULL ends them; and their classes. */
extern const char *const http_read_methods[];
extern const char *const http_write_methods[];

#endif
