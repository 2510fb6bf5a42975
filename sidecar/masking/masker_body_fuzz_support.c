#include "sidecar/masking/masker_body_fuzz_support.h"

#include <stdlib.h>

enum { OUT_MAX = 1 << 24 };

void fuzz_require(bool ok)
{
    if (!ok) {
        abort();
    }
}

bool fuzz_body(struct masker *m, enum masker_body_kind kind, struct bytes data, bool is_final,
               struct buffer *out)
{
    if (data.size == 0) {
        return false;
    }
    struct bytes in = bytes_of(data.data + 1, data.size - 1);
    size_t at = in.size * data.data[0] / 256;
    struct buffer cut, again;
    buffer_init(&cut, OUT_MAX);
    buffer_init(&again, OUT_MAX);
    enum err e = masker_feed_all(m, kind, in, 0, out);
    fuzz_require(masker_feed_two(m, kind, in, at, &cut) == e);
    fuzz_require(e != OK || bytes_equal(buffer_bytes(out), buffer_bytes(&cut)));
    buffer_clear(&cut);
    fuzz_require(masker_feed_all(m, kind, in, 1, &cut) == e);
    fuzz_require(e != OK || bytes_equal(buffer_bytes(out), buffer_bytes(&cut)));
    if (e == OK && is_final) {
        fuzz_require(masker_feed_all(m, kind, buffer_bytes(out), 0, &again) == OK);
        fuzz_require(bytes_equal(buffer_bytes(out), buffer_bytes(&again)));
    }
    buffer_finish(&cut);
    buffer_finish(&again);
    return e == OK;
}
