/* JSON: what comes of it is the same however it is cut, has nothing to mask any more, and is JSON
 * to another parser as well. */
#include <cjson/cJSON.h>

#include "sidecar/masking/masker_body_fuzz_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* One value: of several, each ends a line. */
static bool is_json(struct bytes text)
{
    bool is_one =
        memchr(text.data, '\n', text.size) == NULL && memchr(text.data, 0x1e, text.size) == NULL;
    cJSON *tree = is_one ? cJSON_ParseWithLength((const char *)text.data, text.size) : NULL;
    cJSON_Delete(tree);
    return !is_one || tree != NULL;
}

static struct masker *of(const char *masks)
{
    struct masker *m = masker_of(masks);
    fuzz_require(m != NULL);
    return m;
}

static void fuzz(struct masker *m, struct bytes data, bool is_final)
{
    struct buffer out;
    buffer_init(&out, 1 << 24);
    if (fuzz_body(m, MASKER_BODY_JSON, data, is_final, &out) && buffer_size(&out) > 0) {
        fuzz_require(is_json(buffer_bytes(&out)));
    }
    masker_counts_reset(m);
    buffer_finish(&out);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct masker *named, *found; /* they are costly to make */
    if (named == NULL) {
        named = of("[{'fields':['email','*_token'],'json':['/a/*/b'],'with':{'fixed':'[\\'m]'}}]");
        found = of("[{'fields':['n']},{'detect':['email','card','api_key'],"
                   "'with':{'fixed':'[d]'}}]");
    }
    fuzz(named, bytes_of(data, size), true);
    fuzz(found, bytes_of(data, size), false);
    return 0;
}
