#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>
#include <yaml.h>

#include "base/arena.h"
#include "base/conf/conf_node.h"
#include "base/file.h"

/* The state of one load: the parser's events become nodes under `open`. */
struct load {
    yaml_parser_t parser;
    struct conf *conf;
    struct bytes text;
    const char *name;
    struct conf_node *open; /* the innermost list or map that is not closed yet */
    const char *key;        /* read, but its value not yet */
    unsigned depth, nodes;
    uint32_t key_line, key_column;
    struct err_text *error;
};

static enum err load_fail(struct load *l, enum err code, const yaml_mark_t *at, const char *what)
{
    return err_set(l->error, code, "%s:%zu:%zu: %s", l->name, at->line + 1, at->column + 1, what);
}

/* YAML errors carry a mark, errors of the encoding only an offset. */
static enum err parser_fail(struct load *l)
{
    const yaml_parser_t *p = &l->parser;
    if (p->error == YAML_MEMORY_ERROR) {
        return err_set(l->error, ERR_NO_MEMORY, "%s: memory is short", l->name);
    }
    const char *problem = p->problem == NULL ? "malformed YAML" : p->problem;
    if (p->error == YAML_READER_ERROR) {
        size_t line = 1, column = 1;
        for (size_t i = 0; i < p->problem_offset && i < l->text.size; i++) {
            bool ends = l->text.data[i] == '\n';
            line += ends;
            column = ends ? 1 : column + ((l->text.data[i] & 0xc0) != 0x80);
        }
        return err_set(l->error, ERR_INVALID, "%s:%zu:%zu: not UTF-8 text: %s", l->name, line,
                       column, problem);
    }
    if (p->context != NULL) {
        return err_set(l->error, ERR_INVALID, "%s:%zu:%zu: not valid YAML: %s, %s (line %zu)",
                       l->name, p->problem_mark.line + 1, p->problem_mark.column + 1, problem,
                       p->context, p->context_mark.line + 1);
    }
    return err_set(l->error, ERR_INVALID, "%s:%zu:%zu: not valid YAML: %s", l->name,
                   p->problem_mark.line + 1, p->problem_mark.column + 1, problem);
}

static enum err node_add(struct load *l, const yaml_mark_t *at, enum conf_kind kind,
                         struct conf_node **out)
{
    if (++l->nodes > CONF_NODES_MAX) {
        return err_set(l->error, ERR_LIMIT, "%s:%zu:%zu: more than %d values in one document",
                       l->name, at->line + 1, at->column + 1, CONF_NODES_MAX);
    }
    struct conf_node *n = arena_alloc(l->conf->arena, sizeof(*n));
    if (n == NULL) {
        return err_set(l->error, ERR_NO_MEMORY, "%s: memory is short", l->name);
    }
    n->conf = l->conf;
    n->kind = kind;
    /* A nested value begins below its key, an absent one has no place: look at the key. */
    bool at_key = l->key != NULL && kind != CONF_SCALAR;
    n->line = at_key ? l->key_line : (uint32_t)at->line + 1;
    n->column = at_key ? l->key_column : (uint32_t)at->column + 1;
    struct conf_node *parent = l->open;
    n->parent = parent;
    if (parent == NULL) {
        l->conf->root = n;
    } else {
        n->key = l->key;
        n->key_line = l->key_line;
        n->key_column = l->key_column;
        n->index = parent->count++;
        if (parent->last == NULL) {
            parent->first = n;
        } else {
            parent->last->next = n;
        }
        parent->last = n;
    }
    l->key = NULL;
    *out = n;
    return OK;
}

static enum err container_open(struct load *l, const yaml_mark_t *at, enum conf_kind kind)
{
    if (l->open != NULL && l->open->kind == CONF_MAP && l->key == NULL) {
        return load_fail(l, ERR_INVALID, at, "a key must be plain text, not a list or map");
    }
    if (++l->depth > CONF_DEPTH_MAX) {
        return err_set(l->error, ERR_LIMIT, "%s:%zu:%zu: nested deeper than %d levels", l->name,
                       at->line + 1, at->column + 1, CONF_DEPTH_MAX);
    }
    struct conf_node *n;
    enum err e = node_add(l, at, kind, &n);
    if (e == OK) {
        l->open = n;
    }
    return e;
}

static int members_compare(const void *a, const void *b)
{
    const struct conf_node *const *left = a;
    const struct conf_node *const *right = b;
    int order = strcmp((*left)->key, (*right)->key);
    /* Among equal keys the later one comes second: it is the one to report. */
    return order != 0 ? order : (int)((*left)->index > (*right)->index) * 2 - 1;
}

static enum err map_index(struct load *l, struct conf_node *map)
{
    if (map->count == 0) {
        return OK;
    }
    map->sorted = arena_alloc(l->conf->arena, map->count * sizeof(struct conf_node *));
    if (map->sorted == NULL) {
        return err_set(l->error, ERR_NO_MEMORY, "%s: memory is short", l->name);
    }
    size_t i = 0;
    for (struct conf_node *n = map->first; n != NULL; n = n->next) {
        map->sorted[i++] = n;
    }
    qsort(map->sorted, map->count, sizeof(struct conf_node *), members_compare);
    for (i = 1; i < map->count; i++) {
        const struct conf_node *first = map->sorted[i - 1];
        const struct conf_node *second = map->sorted[i];
        if (strcmp(first->key, second->key) == 0) {
            return conf_fail_at_key(second, second, l->error,
                                    "this key was given already in line %u", first->key_line);
        }
    }
    return OK;
}

static enum err container_close(struct load *l)
{
    struct conf_node *n = l->open;
    l->open = n->parent;
    l->depth--;
    return n->kind == CONF_MAP ? map_index(l, n) : OK;
}

static bool text_is_null(const char *text)
{
    return text[0] == '\0' || strcmp(text, "~") == 0 || strcmp(text, "null") == 0;
}

/* Code points that a reviewer does not see, or that make text read otherwise than it is: controls,
 * line and paragraph separators, byte order marks, bidirectional overrides. */
static bool code_point_is_hidden(uint32_t c)
{
    return (c < 0x20 && c != '\t' && c != '\n' && c != '\r') || (c >= 0x7f && c < 0xa0) ||
           c == 0x2028 || c == 0x2029 || (c >= 0x202a && c <= 0x202e) ||
           (c >= 0x2066 && c <= 0x2069) || c == 0xfeff || (c & 0xfffe) == 0xfffe;
}

/* UTF-8 that libyaml has checked already. */
static bool text_has_hidden(struct bytes text)
{
    uint32_t c = 0;
    for (size_t i = 0; i < text.size; i++) {
        uint8_t b = text.data[i];
        if ((b & 0xc0) == 0x80) {
            c = c << 6 | (b & 0x3fu);
        } else {
            c = b < 0x80 ? b : b < 0xe0 ? b & 0x1fu : b < 0xf0 ? b & 0x0fu : b & 0x07u;
        }
        bool complete = i + 1 == text.size || (text.data[i + 1] & 0xc0) != 0x80;
        if (complete && code_point_is_hidden(c)) {
            return true;
        }
    }
    return false;
}

static enum err key_take(struct load *l, const yaml_mark_t *at, const char *text, size_t size)
{
    if (size > CONF_KEY_MAX) {
        return err_set(l->error, ERR_LIMIT, "%s:%zu:%zu: a key longer than %d bytes", l->name,
                       at->line + 1, at->column + 1, CONF_KEY_MAX);
    }
    l->key = text;
    l->key_line = (uint32_t)at->line + 1;
    l->key_column = (uint32_t)at->column + 1;
    return OK;
}

static enum err scalar_add(struct load *l, const yaml_event_t *event)
{
    struct bytes value = bytes_of(event->data.scalar.value, event->data.scalar.length);
    const yaml_mark_t *at = &event->start_mark;
    if (event->data.scalar.anchor != NULL || event->data.scalar.tag != NULL) {
        return load_fail(l, ERR_INVALID, at, "anchors and tags (`&`, `!`) are not allowed here");
    }
    if (text_has_hidden(value)) {
        return load_fail(l, ERR_INVALID, at, "control or invisible characters in a string");
    }
    char *text = arena_copy_string(l->conf->arena, value);
    if (text == NULL) {
        return err_set(l->error, ERR_NO_MEMORY, "%s: memory is short", l->name);
    }
    if (l->open != NULL && l->open->kind == CONF_MAP && l->key == NULL) {
        return key_take(l, at, text, value.size);
    }
    bool plain = event->data.scalar.style == YAML_PLAIN_SCALAR_STYLE;
    struct conf_node *n;
    enum err e = node_add(l, at, plain && text_is_null(text) ? CONF_NULL : CONF_SCALAR, &n);
    if (e == OK) {
        n->text = text;
        n->plain = plain;
    }
    return e;
}

static enum err event_take(struct load *l, const yaml_event_t *event)
{
    const yaml_mark_t *at = &event->start_mark;
    switch (event->type) {
    case YAML_DOCUMENT_START_EVENT:
        return l->conf->root == NULL
                   ? OK
                   : load_fail(l, ERR_INVALID, at, "a second document (`---`) in one file");
    case YAML_ALIAS_EVENT:
        return load_fail(l, ERR_INVALID, at, "aliases (`*name`) are not allowed here");
    case YAML_SCALAR_EVENT: return scalar_add(l, event);
    case YAML_SEQUENCE_START_EVENT:
        if (event->data.sequence_start.anchor != NULL || event->data.sequence_start.tag != NULL) {
            return load_fail(l, ERR_INVALID, at,
                             "anchors and tags (`&`, `!`) are not allowed here");
        }
        return container_open(l, at, CONF_LIST);
    case YAML_MAPPING_START_EVENT:
        if (event->data.mapping_start.anchor != NULL || event->data.mapping_start.tag != NULL) {
            return load_fail(l, ERR_INVALID, at,
                             "anchors and tags (`&`, `!`) are not allowed here");
        }
        return container_open(l, at, CONF_MAP);
    case YAML_SEQUENCE_END_EVENT:
    case YAML_MAPPING_END_EVENT: return container_close(l);
    default: return OK;
    }
}

static enum err events_read(struct load *l)
{
    for (;;) {
        yaml_event_t event;
        if (!yaml_parser_parse(&l->parser, &event)) {
            return parser_fail(l);
        }
        enum err e = event_take(l, &event);
        bool at_end = event.type == YAML_STREAM_END_EVENT;
        yaml_event_delete(&event);
        if (e != OK || at_end) {
            return e;
        }
    }
}

enum err conf_load_text(const char *name, struct bytes text, struct conf **out,
                        struct err_text *error)
{
    if (text.size > CONF_SIZE_MAX) {
        return err_set(error, ERR_LIMIT, "%s: larger than %d bytes", name, CONF_SIZE_MAX);
    }
    enum err e = ERR_NO_MEMORY;
    struct load l = {.text = text, .name = name, .error = error};
    bool parsing = false;
    struct conf *c = calloc(1, sizeof(*c));
    if (c == NULL || (c->arena = arena_create(16 << 10, (size_t)192 << 20)) == NULL ||
        (c->name = arena_copy_string(c->arena, bytes_of_string(name))) == NULL ||
        !yaml_parser_initialize(&l.parser)) {
        (void)err_set(error, e, "%s: memory is short", name);
        goto out;
    }
    parsing = true;
    l.conf = c;
    yaml_parser_set_input_string(&l.parser, text.size == 0 ? (const uint8_t *)"" : text.data,
                                 text.size);
    e = events_read(&l);
    if (e == OK && c->root == NULL) {
        struct conf_node *n;
        yaml_mark_t start = {0};
        e = node_add(&l, &start, CONF_NULL, &n);
    }
    if (e == OK) {
        *out = c;
        c = NULL;
    }
out:
    if (parsing) {
        yaml_parser_delete(&l.parser);
    }
    conf_destroy(c);
    return e;
}

enum err conf_load_file(const char *path, struct conf **out, struct err_text *error)
{
    struct buffer content;
    buffer_init(&content, CONF_SIZE_MAX + (128 << 10));
    enum err e;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        e = err_set(error, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read: %s", path,
                    strerror(errno));
        goto out;
    }
    e = file_read_all(fd, &content);
    if (e == ERR_IO) {
        (void)err_set(error, e, "%s: cannot be read: %s", path, strerror(errno));
    } else if (e == ERR_LIMIT) {
        (void)err_set(error, e, "%s: larger than %d bytes", path, CONF_SIZE_MAX);
    } else if (e != OK) {
        (void)err_set(error, e, "%s: memory is short", path);
    } else {
        e = conf_load_text(path, buffer_bytes(&content), out, error);
    }
out:
    if (fd >= 0) {
        (void)close(fd);
    }
    /* It may hold a secret of a careless author. */
    buffer_wipe(&content);
    return e;
}

void conf_destroy(struct conf *c)
{
    if (c != NULL) {
        arena_destroy(c->arena);
        free(c);
    }
}
