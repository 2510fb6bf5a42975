#include <assert.h>
#include <stdlib.h>

#include "sidecar/operation/operation_http.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* The path, a line feed, the Content-Type's value, a line feed, the body. What is taken has no
 * strings that end early, and what is read is within its limits. */

static struct bytes line_take(struct bytes *rest)
{
    const uint8_t *end = rest->size == 0 ? NULL : memchr(rest->data, '\n', rest->size);
    struct bytes line = bytes_of(rest->data, end == NULL ? rest->size : (size_t)(end - rest->data));
    size_t used = line.size + (end != NULL);
    *rest = bytes_of(rest->data + used, rest->size - used);
    return line;
}

static void check_pairs(const struct policy_pair *pairs, size_t count, size_t max)
{
    assert(count <= max);
    for (size_t i = 0; i < count; i++) {
        assert(pairs[i].name != NULL && pairs[i].value != NULL);
    }
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct bytes rest = bytes_of(data, size);
    struct arena *a = arena_create(4096, 8 << 20);
    Chaperone__V1__HttpRequest m = CHAPERONE__V1__HTTP_REQUEST__INIT;
    Chaperone__V1__HttpField field = CHAPERONE__V1__HTTP_FIELD__INIT, *list[] = {&field};
    struct policy_http http = {0};
    if (a == NULL || size == 0) {
        arena_destroy(a);
        return 0;
    }
    m.method = "POST";
    m.authority = "api.internal";
    m.path = arena_copy_string(a, line_take(&rest));
    struct bytes type = line_take(&rest);
    field.name = "content-type";
    field.value = (ProtobufCBinaryData){type.size, (uint8_t *)(uintptr_t)type.data};
    m.fields = list;
    m.n_fields = 1;
    m.body = (ProtobufCBinaryData){rest.size, (uint8_t *)(uintptr_t)rest.data};
    m.body_size = rest.size;
    if (m.path != NULL && operation_http_fill(a, &m, &http) == OK) {
        assert(http.path != NULL && http.host != NULL);
        check_pairs(http.query, http.query_count, OPERATION_HTTP_PAIRS_MAX);
        check_pairs(http.body, http.body_count, OPERATION_HTTP_SCALARS_MAX);
        assert(http.body_count == 0 || http.body_state == POLICY_BODY_READ);
        assert((http.body_state == POLICY_BODY_NONE) == (rest.size == 0));
    }
    arena_destroy(a);
    return 0;
}
