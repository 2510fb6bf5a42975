/* Forms: what comes of one is the same however it is cut, and has nothing to mask any more; what is
 * a form is the same as a query. */
#include "sidecar/masking/masker_body_fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct masker *m; /* it is costly to make */
    struct buffer out, query, header;
    bool is_changed = false;
    m = m != NULL ? m
                  : masker_of("[{'fields':['email','*_token'],'json':['/a'],'headers':['x'],"
                              "'with':{'fixed':'[m]'}},{'detect':['email','card','phone'],"
                              "'with':{'fixed':'[d]'}}]");
    fuzz_require(m != NULL);
    buffer_init(&out, 1 << 24);
    buffer_init(&query, 1 << 24);
    buffer_init(&header, 1 << 24);
    if (fuzz_body(m, MASKER_BODY_FORM, bytes_of(data, size), &out)) {
        struct bytes text = bytes_of(data + 1, size - 1);
        fuzz_require(masker_query(m, text, &query, &is_changed) == OK);
        fuzz_require(bytes_equal(buffer_bytes(&query), buffer_bytes(&out)));
        fuzz_require(is_changed == !bytes_equal(text, buffer_bytes(&out)));
    }
    fuzz_require(masker_header(m, bytes_of_string("location"), bytes_of(data, size), &header,
                               &is_changed) == OK);
    masker_counts_reset(m);
    buffer_finish(&out);
    buffer_finish(&query);
    buffer_finish(&header);
    return 0;
}
