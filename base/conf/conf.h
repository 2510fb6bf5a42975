/* Configuration and policy documents: YAML (JSON is a subset) as an immutable tree that knows
 * the file, line and column of every node, so that each mistake is named where it was made.
 *
 * Every error reads `FILE:LINE:COLUMN: KEY.PATH: expected a port number between 1 and 65535, found
 * "abc"` and is ERR_INVALID unless said otherwise.
 *
 * What is left out of YAML, because it makes a document mean what a reviewer does not see:
 * anchors, aliases and tags, duplicate keys, several documents in a file, keys that are not plain
 * text. Scalars follow JSON: `true`, `false`, `null` (also `~` and nothing), integers; all else is
 * a string.
 *
 * Lifetime: nodes and strings borrow from the `struct conf` and are valid until it is destroyed. */
#ifndef CHAPERONE_BASE_CONF_H
#define CHAPERONE_BASE_CONF_H

#include "base/bytes.h"

enum {
    /* A person reviews these documents; the largest policy we know of is 200 KiB. */
    CONF_SIZE_MAX = 4 << 20,
    CONF_DEPTH_MAX = 32,
    /* libyaml reads keys of up to 1024 characters; the canonical form may escape each byte as six.
     */
    CONF_KEY_MAX = 160,
    /* Bounds the tree's memory, at most some 60 MiB. */
    CONF_NODES_MAX = 500000,
};

struct conf;
struct conf_node;

enum conf_kind { CONF_NULL, CONF_SCALAR, CONF_LIST, CONF_MAP };

/* `*out` is owned: conf_destroy. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT (a cap above), ERR_INVALID. */
enum err conf_load_file(const char *path, struct conf **out, struct err_text *error) MUST_USE;
/* `name` stands for the file in errors. */
enum err conf_load_text(const char *name, struct bytes text, struct conf **out,
                        struct err_text *error) MUST_USE;
void conf_destroy(struct conf *c); /* takes NULL */

const struct conf_node *conf_root(const struct conf *c);

/* --- walking ------------------------------------------------------------------------- */

enum conf_kind conf_kind(const struct conf_node *n);
/* NULL when `map` is no map or has no such key. */
const struct conf_node *conf_get(const struct conf_node *map, const char *key);
/* The members of a list or map in the order of the document; NULL at the end.
 *     for (const struct conf_node *n = conf_first(list); n != NULL; n = conf_next(n)) */
const struct conf_node *conf_first(const struct conf_node *list_or_map);
const struct conf_node *conf_next(const struct conf_node *member);
size_t conf_count(const struct conf_node *list_or_map);
/* A map member's key; NULL for a list's items and the root. */
const char *conf_key(const struct conf_node *member);
const char *conf_file(const struct conf_node *n);
unsigned conf_line(const struct conf_node *n);   /* from 1 */
unsigned conf_column(const struct conf_node *n); /* from 1, in characters */

enum { CONF_PATH_SIZE = 160 };
/* "listeners[0].port"; "" for the root. Shortened at its front with "..." to fit. */
void conf_path(const struct conf_node *n, char out[CONF_PATH_SIZE]);

/* --- reading values ------------------------------------------------------------------
 * `conf_read_*` takes a key of a map: where the key is missing, `*out` keeps its default and the
 * result is OK; call `conf_require` first for a key that must be there. `conf_as_*` takes the node
 * itself, such as a list's item. A key without a value (`port:`) is an error, not a missing key. */

/* ERR_INVALID "required, but missing" where `map` has no such key, or is no map. */
enum err conf_require(const struct conf_node *map, const char *key,
                      struct err_text *error) MUST_USE;

/* Any scalar that is not empty: a name such as `1234` needs no quotes. */
enum err conf_as_string(const struct conf_node *n, const char **out,
                        struct err_text *error) MUST_USE;
enum err conf_read_string(const struct conf_node *map, const char *key, const char **out,
                          struct err_text *error) MUST_USE;

enum err conf_as_bool(const struct conf_node *n, bool *out, struct err_text *error) MUST_USE;
enum err conf_read_bool(const struct conf_node *map, const char *key, bool *out,
                        struct err_text *error) MUST_USE;

/* `what` names it in errors, with its article: "a port number". Limits are inclusive. */
enum err conf_as_integer(const struct conf_node *n, const char *what, int64_t min, int64_t max,
                         int64_t *out, struct err_text *error) MUST_USE;
enum err conf_read_integer(const struct conf_node *map, const char *key, const char *what,
                           int64_t min, int64_t max, int64_t *out, struct err_text *error) MUST_USE;

/* "250ms", "30s", "5m", "2h", "7d" -> nanoseconds. Limits are inclusive, in nanoseconds. */
enum err conf_as_duration(const struct conf_node *n, int64_t min_ns, int64_t max_ns,
                          int64_t *out_ns, struct err_text *error) MUST_USE;
enum err conf_read_duration(const struct conf_node *map, const char *key, int64_t min_ns,
                            int64_t max_ns, int64_t *out_ns, struct err_text *error) MUST_USE;

/* "512", "64KiB", "1MiB", "2GiB" -> bytes. Limits are inclusive, in bytes. */
enum err conf_as_size(const struct conf_node *n, uint64_t min, uint64_t max, uint64_t *out,
                      struct err_text *error) MUST_USE;
enum err conf_read_size(const struct conf_node *map, const char *key, uint64_t min, uint64_t max,
                        uint64_t *out, struct err_text *error) MUST_USE;

struct conf_choice {
    const char *name; /* NULL ends the table */
    int value;
};
enum err conf_as_choice(const struct conf_node *n, const struct conf_choice *choices, int *out,
                        struct err_text *error) MUST_USE;
enum err conf_read_choice(const struct conf_node *map, const char *key,
                          const struct conf_choice *choices, int *out,
                          struct err_text *error) MUST_USE;

/* `*out` is the node, known to be of that kind. */
enum err conf_read_map(const struct conf_node *map, const char *key, const struct conf_node **out,
                       struct err_text *error) MUST_USE;
enum err conf_read_list(const struct conf_node *map, const char *key, const struct conf_node **out,
                        struct err_text *error) MUST_USE;

/* `n` is a map and every key of it is in `keys` (NULL ends them): else
 * "unknown key `adress`; did you mean `address`?" */
enum err conf_check_keys(const struct conf_node *n, const char *const *keys,
                         struct err_text *error) MUST_USE;

/* The one of `names` (NULL ends them) that was probably meant by `text`, to be suggested; NULL:
 * none is near. */
const char *conf_nearest(const char *text, const char *const *names);

/* For checks of the caller's own: writes "FILE:LINE:COLUMN: KEY.PATH: " and the sentence, returns
 * ERR_INVALID. */
enum err conf_fail(const struct conf_node *n, struct err_text *error, const char *format, ...)
    PRINTF_LIKE(3, 4);

/* --- the canonical form --------------------------------------------------------------
 * JSON without white space, keys sorted by their bytes, integers as they are, everything that is
 * no integer, true, false or null as a string. Two documents that differ in layout,
 * comments or order of keys give the same bytes; loading the bytes gives the same tree.
 * This is what policies are hashed and signed over.
 *
 * Returns owned, NUL-terminated; NULL when memory is short. */
char *conf_to_json(const struct conf_node *n) MUST_USE;

#endif
