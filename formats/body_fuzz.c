/* Any body: what it is and how it is laid out ends, and no token is lost. */
#include <stdint.h>
#include <stdlib.h>

#include "formats/body.h"

static bool is_blank(uint8_t c)
{
    return c == ' ' || c == '\t' || c == '\n' || c == '\r';
}

static size_t count(struct bytes text)
{
    size_t n = 0;
    for (size_t i = 0; i < text.size; i++) {
        n += is_blank(text.data[i]) ? 0 : 1;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    struct buffer out;
    struct bytes body = bytes_of(data, size);
    (void)body_form_of(body, (size & 1) != 0);
    buffer_init(&out, 64 << 20);
    if (body_append_indented(body, &out) == OK && count(buffer_bytes(&out)) != count(body)) {
        abort();
    }
    buffer_finish(&out);
    return 0;
}
