/* The inside of a configuration tree; for this folder only. */
#ifndef CHAPERONE_BASE_CONF_NODE_H
#define CHAPERONE_BASE_CONF_NODE_H

#include "base/conf/conf.h"

struct conf_node {
    const struct conf *conf;
    struct conf_node *parent;
    struct conf_node *first, *last, *next;
    struct conf_node **sorted; /* a map's members by key */
    const char *key;
    const char *text; /* of a scalar */
    uint32_t line, column;
    uint32_t key_line, key_column; /* of a map's member */
    uint32_t count;                /* of members */
    uint32_t index;                /* in a list */
    enum conf_kind kind;
    bool plain; /* written without quotes */
};

struct conf {
    struct arena *arena;
    const char *name;
    struct conf_node *root;
};

/* Plain decimal: "0", "-12"; no leading zeros, within int64_t. */
bool conf_text_is_integer(const char *text, int64_t *out);

/* As conf_fail, at the key of `member` with the path of `subject`. */
enum err conf_fail_at_key(const struct conf_node *member, const struct conf_node *subject,
                          struct err_text *error, const char *format, ...) PRINTF_LIKE(4, 5);

#endif
