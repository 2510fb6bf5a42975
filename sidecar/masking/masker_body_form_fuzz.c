/* Forms: what comes of one is the same however it is cut, and has nothing named any more; what is
 * a form is the same as a query. */
#include "sidecar/masking/masker_body_fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct masker *of(const char *masks)
{
    struct masker *m = masker_of(masks);
    fuzz_require(m != NULL);
    return m;
}

static void fuzz(struct masker *m, struct bytes data, bool is_final)
{
    struct buffer out, query, header;
    bool is_changed = false;
    buffer_init(&out, 1 << 24);
    buffer_init(&query, 1 << 24);
    buffer_init(&header, 1 << 24);
    if (fuzz_body(m, MASKER_BODY_FORM, data, is_final, &out)) {
        struct bytes text = bytes_of(data.data + 1, data.size - 1);
        fuzz_require(masker_query(m, text, &query, &is_changed) == OK);
        fuzz_require(bytes_equal(buffer_bytes(&query), buffer_bytes(&out)));
        fuzz_require(is_changed == !bytes_equal(text, buffer_bytes(&out)));
    }
    fuzz_require(masker_header(m, bytes_of_string("location"), data, &header, &is_changed) == OK);
    fuzz_require(is_changed == !bytes_equal(data, buffer_bytes(&header)));
    masker_counts_reset(m);
    buffer_finish(&out);
    buffer_finish(&query);
    buffer_finish(&header);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct masker *named, *found; /* they are costly to make */
    if (named == NULL) {
        named = of("[{'fields':['email','*_token'],'json':['/a'],'with':{'fixed':'[m]'}}]");
        found = of("[{'fields':['n']},{'detect':['email','card','phone'],"
                   "'with':{'fixed':'[d]'}}]");
    }
    fuzz(named, bytes_of(data, size), true);
    fuzz(found, bytes_of(data, size), false);
    return 0;
}
