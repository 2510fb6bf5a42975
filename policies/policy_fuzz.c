#include <assert.h>
#include <stdlib.h>

#include "policies/policy.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* A document; whatever compiles must answer, and its canonical form must compile too. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct policy *p = NULL;
    struct err_text why = {0};
    if (policy_compile(bytes_of(data, size), 1, &p, &why) != OK) {
        assert(why.text[0] != '\0');
        return 0;
    }
    static const char *const groups[] = {"analysts", "writers"};
    static const char *const commands[] = {"SELECT", "EXPLAIN", "FUNCTION CALL"};
    static const struct policy_object objects[] = {
        {.kind = "table", .name = "public.orders", .access = "read"},
        {.kind = "table", .name = "\"a\"\"b\".\"c", .access = "insert"},
        {.kind = "function", .name = "count", .access = "call"},
        {.kind = "code", .name = "plpgsql", .access = "procedural"},
        {.kind = "table", .name = "a.b.c.d", .access = "read"},
        {.kind = "x", .name = "", .access = "y"}};
    const struct policy_request r = {.subject = "repo:a/b",
                                     .groups = groups,
                                     .group_count = 2,
                                     .resource = "shop",
                                     .protocol = "postgres",
                                     .commands = commands,
                                     .command_count = 3,
                                     .objects = objects,
                                     .object_count = sizeof(objects) / sizeof(objects[0])};
    struct policy_verdict v = {0};
    policy_evaluate(p, &r, &v);
    assert(v.rule != NULL && v.rule[0] != '\0');
    policy_destroy(p);
    return 0;
}
