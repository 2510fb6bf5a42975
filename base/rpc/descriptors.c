#include "base/rpc/descriptors.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/rpc/proto/descriptor.pb-c.h"

typedef Chaperone__Rpc__Descriptor__File File;
typedef Chaperone__Rpc__Descriptor__Message Message;
typedef Chaperone__Rpc__Descriptor__Enum Enum;
typedef Chaperone__Rpc__Descriptor__Field Field;
typedef Chaperone__Rpc__Descriptor__Service Service;

enum {
    NAME_SIZE = 512,
    /* protobuf's own limit for messages inside of messages. */
    MAX_NESTING = 32,
};

struct symbol {
    char *name;
    int file;
};

struct extension {
    char *type;
    int32_t number;
    int file;
};

struct file {
    uint8_t *data;
    size_t size;
    File *parsed;
};

struct descriptors {
    struct file *files;
    size_t file_count;
    struct symbol *symbols;
    size_t symbol_count;
    struct extension *extensions;
    size_t extension_count;
};

struct descriptors *descriptors_create(void)
{
    return calloc(1, sizeof(struct descriptors));
}

void descriptors_destroy(struct descriptors *d)
{
    if (d == NULL)
        return;
    for (size_t i = 0; i < d->file_count; i++) {
        chaperone__rpc__descriptor__file__free_unpacked(d->files[i].parsed, NULL);
        free(d->files[i].data);
    }
    for (size_t i = 0; i < d->symbol_count; i++)
        free(d->symbols[i].name);
    for (size_t i = 0; i < d->extension_count; i++)
        free(d->extensions[i].type);
    free(d->files);
    free(d->symbols);
    free(d->extensions);
    free(d);
}

/* Room for one more in an array that grows by doubling: full when its count is a power of two. */
static void *grow(void *array, size_t count, size_t item)
{
    if (count > 0 && (count & (count - 1)) != 0)
        return array;
    return reallocarray(array, count == 0 ? 1 : count * 2, item);
}

/* ---- indexing ------------------------------------------------------------------------- */

struct indexer {
    struct descriptors *d;
    int file;
    enum err failed; /* stays, so that it is checked once */
};

/* "scope.name", or "name" in no scope. */
static void join(struct indexer *x, const char *scope, const char *name, char *out)
{
    int size = snprintf(out, NAME_SIZE, "%s%s%s", scope, scope[0] == '\0' ? "" : ".", name);
    if (size < 0 || size >= NAME_SIZE)
        x->failed = ERR_LIMIT;
}

static void add_symbol(struct indexer *x, const char *scope, const char *name)
{
    char full[NAME_SIZE];
    join(x, scope, name, full);
    if (x->failed != OK)
        return;
    struct symbol *symbols = grow(x->d->symbols, x->d->symbol_count, sizeof(*symbols));
    if (symbols != NULL)
        x->d->symbols = symbols;
    char *copy = symbols == NULL ? NULL : strdup(full);
    if (copy == NULL) {
        x->failed = ERR_NO_MEMORY;
        return;
    }
    symbols[x->d->symbol_count++] = (struct symbol){.name = copy, .file = x->file};
}

static void add_extension(struct indexer *x, const char *scope, const Field *field)
{
    add_symbol(x, scope, field->name);
    if (x->failed != OK)
        return;
    struct extension *extensions =
        grow(x->d->extensions, x->d->extension_count, sizeof(*extensions));
    if (extensions != NULL)
        x->d->extensions = extensions;
    const char *type = field->extendee[0] == '.' ? field->extendee + 1 : field->extendee;
    char *copy = extensions == NULL ? NULL : strdup(type);
    if (copy == NULL) {
        x->failed = ERR_NO_MEMORY;
        return;
    }
    extensions[x->d->extension_count++] =
        (struct extension){.type = copy, .number = field->number, .file = x->file};
}

/* The values of an enum are named beside it, not inside (as in C++). */
static void add_enum(struct indexer *x, const char *scope, const Enum *e)
{
    add_symbol(x, scope, e->name);
    for (size_t i = 0; i < e->n_value; i++)
        add_symbol(x, scope, e->value[i]->name);
}

static void add_message(struct indexer *x, const char *scope, const Message *m, int depth)
{
    char full[NAME_SIZE];
    join(x, scope, m->name, full);
    if (depth == MAX_NESTING)
        x->failed = ERR_LIMIT;
    if (x->failed != OK)
        return;
    add_symbol(x, scope, m->name);
    for (size_t i = 0; i < m->n_field; i++)
        add_symbol(x, full, m->field[i]->name);
    for (size_t i = 0; i < m->n_oneof_decl; i++)
        add_symbol(x, full, m->oneof_decl[i]->name);
    for (size_t i = 0; i < m->n_extension; i++)
        add_extension(x, full, m->extension[i]);
    for (size_t i = 0; i < m->n_enum_type; i++)
        add_enum(x, full, m->enum_type[i]);
    for (size_t i = 0; i < m->n_nested_type; i++)
        add_message(x, full, m->nested_type[i], depth + 1);
}

static void add_service(struct indexer *x, const char *scope, const Service *s)
{
    char full[NAME_SIZE];
    join(x, scope, s->name, full);
    add_symbol(x, scope, s->name);
    for (size_t i = 0; x->failed == OK && i < s->n_method; i++)
        add_symbol(x, full, s->method[i]->name);
}

static enum err index_file(struct descriptors *d, int number, const File *f)
{
    struct indexer x = {.d = d, .file = number, .failed = OK};
    for (size_t i = 0; i < f->n_message_type; i++)
        add_message(&x, f->package, f->message_type[i], 0);
    for (size_t i = 0; i < f->n_enum_type; i++)
        add_enum(&x, f->package, f->enum_type[i]);
    for (size_t i = 0; i < f->n_service; i++)
        add_service(&x, f->package, f->service[i]);
    for (size_t i = 0; i < f->n_extension; i++)
        add_extension(&x, f->package, f->extension[i]);
    return x.failed;
}

/* Takes `f`. */
static enum err add_file(struct descriptors *d, struct bytes bytes, File *f)
{
    if (descriptors_find_file(d, f->name) != DESCRIPTORS_NONE) {
        chaperone__rpc__descriptor__file__free_unpacked(f, NULL);
        return OK;
    }
    uint8_t *data = malloc(bytes.size == 0 ? 1 : bytes.size);
    struct file *files = grow(d->files, d->file_count, sizeof(*files));
    if (files != NULL)
        d->files = files;
    if (data == NULL || files == NULL) {
        free(data);
        chaperone__rpc__descriptor__file__free_unpacked(f, NULL);
        return ERR_NO_MEMORY;
    }
    if (bytes.size > 0)
        memcpy(data, bytes.data, bytes.size);
    int number = (int)d->file_count;
    files[d->file_count++] = (struct file){.data = data, .size = bytes.size, .parsed = f};
    return index_file(d, number, f);
}

enum err descriptors_add(struct descriptors *d, struct bytes set)
{
    Chaperone__Rpc__Descriptor__FileSet *files =
        chaperone__rpc__descriptor__file_set__unpack(NULL, set.size, set.data);
    if (files == NULL)
        return ERR_INVALID;
    enum err e = OK;
    for (size_t i = 0; e == OK && i < files->n_file; i++) {
        struct bytes b = bytes_of(files->file[i].data, files->file[i].len);
        File *f = chaperone__rpc__descriptor__file__unpack(NULL, b.size, b.data);
        e = f == NULL ? ERR_INVALID : add_file(d, b, f);
    }
    chaperone__rpc__descriptor__file_set__free_unpacked(files, NULL);
    return e;
}

/* ---- finding -------------------------------------------------------------------------- */

int descriptors_find_file(const struct descriptors *d, const char *name)
{
    for (size_t i = 0; i < d->file_count; i++) {
        if (strcmp(d->files[i].parsed->name, name) == 0)
            return (int)i;
    }
    return DESCRIPTORS_NONE;
}

int descriptors_find_symbol(const struct descriptors *d, const char *symbol)
{
    for (size_t i = 0; i < d->symbol_count; i++) {
        if (strcmp(d->symbols[i].name, symbol) == 0)
            return d->symbols[i].file;
    }
    return DESCRIPTORS_NONE;
}

int descriptors_find_extension(const struct descriptors *d, const char *type, int32_t number)
{
    for (size_t i = 0; i < d->extension_count; i++) {
        if (d->extensions[i].number == number && strcmp(d->extensions[i].type, type) == 0)
            return d->extensions[i].file;
    }
    return DESCRIPTORS_NONE;
}

size_t descriptors_extensions(const struct descriptors *d, const char *type, int32_t *out,
                              size_t capacity)
{
    size_t count = 0;
    for (size_t i = 0; i < d->extension_count; i++) {
        if (strcmp(d->extensions[i].type, type) != 0)
            continue;
        if (count < capacity)
            out[count] = d->extensions[i].number;
        count++;
    }
    return count;
}

struct bytes descriptors_file(const struct descriptors *d, int file)
{
    return bytes_of(d->files[file].data, d->files[file].size);
}

size_t descriptors_file_count(const struct descriptors *d)
{
    return d->file_count;
}

static bool has(const int *list, size_t count, int value)
{
    for (size_t i = 0; i < count; i++) {
        if (list[i] == value)
            return true;
    }
    return false;
}

size_t descriptors_closure(const struct descriptors *d, int file, int *out)
{
    size_t count = 0;
    out[count++] = file;
    for (size_t done = 0; done < count; done++) {
        const File *f = d->files[out[done]].parsed;
        for (size_t i = 0; i < f->n_dependency; i++) {
            int imported = descriptors_find_file(d, f->dependency[i]);
            if (imported != DESCRIPTORS_NONE && !has(out, count, imported))
                out[count++] = imported;
        }
    }
    return count;
}
