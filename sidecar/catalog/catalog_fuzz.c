/* Any rows at all: each field begins with a byte for its size (255: NULL), each row with one for
 * the query and the count. What loads can be asked anything, and holds together. */
#include "sidecar/catalog/catalog.h"

#include <stdlib.h>

#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static enum err feed_row(struct catalog_loader *l, struct cursor *in)
{
    struct bytes values[CATALOG_VALUES_MAX];
    uint8_t head = cursor_read_u8(in);
    size_t count = head >> 4 < CATALOG_VALUES_MAX ? head >> 4 : CATALOG_VALUES_MAX;
    for (size_t i = 0; i < count; i++) {
        uint8_t length = cursor_read_u8(in);
        bool is_null = length == 255;
        values[i] = cursor_read_bytes(in, is_null ? 0 : length);
        if (is_null || in->failed) {
            values[i] = bytes_of(NULL, 0);
        }
    }
    return catalog_loader_row(l, (enum catalog_query)(head & 15), values, count);
}

static void check_relation(const struct catalog *c, const struct catalog_relation *r)
{
    require(r->oid != 0 && catalog_relation_by_oid(c, r->oid) == r);
    require(catalog_relation_find(c, r->schema, r->name) == r || strcmp(r->schema, "pg_temp") == 0);
    const struct catalog_relation *bare = catalog_relation_find(c, NULL, r->name);
    require(bare == NULL || strcmp(bare->name, r->name) == 0);
    for (size_t i = 0; i < r->column_count; i++) {
        require(r->columns[i].number > (i == 0 ? 0 : r->columns[i - 1].number));
        require(catalog_column_find(r, r->columns[i].name) != NULL);
    }
    for (size_t i = 0; i < r->parent_count; i++) {
        require(catalog_relation_by_oid(c, r->parents[i]) != NULL);
    }
    for (size_t i = 0; i < r->writing_count; i++) {
        require(r->writing[i].schema[0] != '\0' && r->writing[i].name[0] != '\0');
    }
    require(r->definition == NULL || r->kind == CATALOG_VIEW ||
            r->kind == CATALOG_MATERIALIZED_VIEW);
    (void)catalog_function_is_builtin(c, NULL, r->name);
    (void)catalog_operator_is_builtin(c, r->schema, r->name);
    (void)catalog_type_is_builtin(c, NULL, r->name);
    require(!catalog_type_is_enum(c, NULL, r->name) || !catalog_type_is_builtin(c, NULL, r->name));
    (void)catalog_operator_may_fail(c, NULL, r->name);
}

static void check_casts(const struct catalog *c)
{
    size_t count = 0;
    const struct catalog_cast *casts = catalog_casts(c, &count);
    for (size_t i = 0; i < count; i++) {
        require(casts[i].type != 0 || casts[i].type_name == NULL);
        require((casts[i].code.schema == NULL) == (casts[i].code.name == NULL));
        require(i == 0 || casts[i - 1].type <= casts[i].type);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct cursor in = cursor_of(bytes_of(data, size));
    struct catalog *c = NULL;
    struct catalog_loader *l = catalog_loader_create();
    require(l != NULL);
    while (in.remaining > 0 && !in.failed) {
        (void)feed_row(l, &in); /* a bad row is left out: more of the rest is reached */
    }
    if (catalog_loader_finish(l, &c) == OK) {
        for (size_t i = 0; i < catalog_relation_count(c); i++) {
            check_relation(c, catalog_relation_at(c, i));
        }
        check_casts(c);
    }
    require(catalog_loader_finish(l, &c) != OK || c != NULL);
    catalog_loader_destroy(l);
    catalog_unref(c);
    return 0;
}
