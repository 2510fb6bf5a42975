/* Loading a document: what its parts share; for this folder only. */
#ifndef CHAPERONE_POLICIES_LOAD_H
#define CHAPERONE_POLICIES_LOAD_H

#include "base/arena.h"
#include "policies/policy_http.h"
#include "policies/policy_internal.h"

enum { POLICY_PATTERN_MAX = 512 }; /* bytes of a detector's expression */

struct tag {
    const char *name;
    struct column_patterns columns;
};

struct load {
    struct policy *policy;
    struct arena *arena;
    struct err_text *why;
    const struct tag *tags;
    size_t tag_count;
    /* The custom ones of all rules: one name, one expression. */
    struct policy_detector detectors[POLICY_DETECTORS_MAX];
    size_t detector_count;
};

enum err load_no_memory(struct load *l);
enum err load_copy_text(struct load *l, const char *text, const char **out) MUST_USE;
/* A name for people: lower-case letters, digits and -_. */
enum err load_check_name(struct load *l, const struct conf_node *n, const char *name) MUST_USE;

/* Lists: `*out` is left alone where `map` has no such key; an empty one would match nothing, and is
 * a mistake. */
enum err load_list(struct load *l, const struct conf_node *map, const char *key,
                   const struct conf_node **out) MUST_USE;
enum err load_texts(struct load *l, const struct conf_node *map, const char *key,
                    struct texts *out) MUST_USE;
enum err load_texts_of(struct load *l, const struct conf_node *list, struct texts *out) MUST_USE;
enum err load_names(struct load *l, const struct conf_node *map, const char *key,
                    struct name_patterns *out) MUST_USE;
enum err load_schemas(struct load *l, const struct conf_node *map, const char *key,
                      struct name_patterns *out) MUST_USE;
enum err load_columns(struct load *l, const struct conf_node *map, const char *key,
                      struct column_patterns *out) MUST_USE;
enum err load_columns_of(struct load *l, const struct conf_node *list,
                         struct column_patterns *out) MUST_USE;

/* The parts of a rule. */
enum err load_match(struct load *l, const struct conf_node *rule_node, struct rule *rule) MUST_USE;
enum err load_when(struct load *l, const struct conf_node *match, struct window *out) MUST_USE;
enum err load_sql(struct load *l, const struct conf_node *match, struct rule *rule) MUST_USE;
enum err load_http(struct load *l, const struct conf_node *match, struct rule *rule) MUST_USE;
enum err load_value(struct load *l, const struct conf_node *n, struct value_pattern *out) MUST_USE;
/* JSON pointers; as load_list says of the key. */
enum err load_pointers(struct load *l, const struct conf_node *map, const char *key,
                       struct step_patterns *out) MUST_USE;
/* A header's name, in lower case. */
enum err load_field_name(struct load *l, const struct conf_node *n, const char *text,
                         const char **out) MUST_USE;
enum err load_obligations(struct load *l, const struct conf_node *rule_node,
                          struct rule *rule) MUST_USE;
/* What an item names of HTTP. */
enum err load_mask_http(struct load *l, const struct conf_node *item, const struct rule *rule,
                        struct policy_mask_names *names, struct policy_mask *mask) MUST_USE;
enum err load_hold(struct load *l, const struct conf_node *rule_node, struct rule *rule) MUST_USE;
enum err load_tags(struct load *l, const struct conf_node *root) MUST_USE;
enum err load_masks(struct load *l, const struct conf_node *obligations,
                    struct rule *rule) MUST_USE;
enum err load_redaction(struct load *l, const struct conf_node *item,
                        struct policy_mask *out) MUST_USE;

#endif
