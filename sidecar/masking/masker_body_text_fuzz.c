/* Texts: what comes of one is the same however it is cut, and the same as of one that is there
 * whole. */
#include "sidecar/masking/masker_body_fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum {
    /* Of one value more than DETECTOR_SPANS_MAX finds mask it whole, and JSON is looked at twice.
     */
    WHOLE_MAX = 1500,
};

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct masker *m; /* it is costly to make */
    struct buffer out, whole;
    m = m != NULL ? m
                  : masker_of("[{'detect':['email','card','iban','jwt','private_key','phone'],"
                              "'with':{'fixed':'[d]'}}]");
    fuzz_require(m != NULL);
    buffer_init(&out, 1 << 24);
    buffer_init(&whole, 1 << 24);
    bool is_ok = fuzz_body(m, MASKER_BODY_TEXT, bytes_of(data, size), false, &out);
    struct bytes text = size > 0 ? bytes_of(data + 1, size - 1) : (struct bytes){0};
    if (is_ok && text.size < WHOLE_MAX && memchr(data, '\\', size) == NULL) {
        fuzz_require(masker_text(m, text, &whole) == OK);
        fuzz_require(bytes_equal(buffer_bytes(&whole), buffer_bytes(&out)));
    }
    masker_counts_reset(m);
    buffer_finish(&out);
    buffer_finish(&whole);
    return 0;
}
