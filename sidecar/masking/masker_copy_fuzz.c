/* The first byte says which format and options, the second how many columns, the third where to
 * cut. Cut or whole, the same comes of it; and what has nothing to mask comes out as it went in. */
#include "sidecar/masking/masker.h"

#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS_MAX = 4, OUT_MAX = 1 << 24 };

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct masker *create(const struct policy_mask *rule)
{
    struct masker *m = NULL;
    require(masker_create(&rule, 1, (struct bytes){0}, &m, NULL) == OK);
    return m;
}

static enum err run(struct masker *m, const struct masker_copy_options *o, struct bytes data,
                    size_t cut, struct buffer *out)
{
    struct masker_copy *c = masker_copy_create(m, o);
    require(c != NULL);
    enum err e = masker_copy_feed(c, bytes_of(data.data, cut), out);
    if (e == OK) {
        e = masker_copy_feed(c, bytes_of(data.data + cut, data.size - cut), out);
    }
    enum err end = masker_copy_finish(c);
    masker_copy_destroy(c);
    return e == OK ? end : e;
}

static struct masker_copy_options read_options(uint8_t what)
{
    static const enum masker_copy_format formats[] = {MASKER_COPY_TEXT, MASKER_COPY_CSV,
                                                      MASKER_COPY_BINARY, MASKER_COPY_CSV};
    struct masker_copy_options o = {.format = formats[what & 3], .has_header = what & 4};
    bool is_text = o.format == MASKER_COPY_TEXT;
    o.delimiter = what & 8 ? '|' : is_text ? '\t' : ',';
    o.quote = what & 16 ? '\'' : '"';
    o.escape = what & 32 ? '\\' : o.quote;
    o.null_text = bytes_of_string(what & 64 ? "-" : is_text ? "\\N" : "");
    return o;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const struct policy_detector email = {"email", NULL, false},
                                        never = {"never", "\\x00{64}never\\x00{64}", false};
    static const struct policy_mask masks = {.redaction = POLICY_REDACT_FIXED,
                                             .text = "f\"x, \\y'",
                                             .detectors = &email,
                                             .detector_count = 1};
    static const struct policy_mask finds_nothing = {
        .redaction = POLICY_REDACT_FIXED, .text = "", .detectors = &never, .detector_count = 1};
    static struct masker *masker, *idle; /* compiled once for the process */
    struct masker_column columns[COLUMNS_MAX] = {{.type = 25},
                                                 {.type = 25, .action = MASKER_REDACT},
                                                 {.type = 0, .action = MASKER_NULL},
                                                 {.type = 20}};
    if (size < 3) {
        return 0;
    }
    if (masker == NULL) {
        masker = create(&masks);
        idle = create(&finds_nothing);
    }
    struct masker_copy_options o = read_options(data[0]);
    struct bytes rest = bytes_of(data + 3, size - 3);
    size_t cut = rest.size * data[2] / 255;
    o.columns = columns;
    o.count = data[1] % (COLUMNS_MAX + 1);
    struct buffer whole, pieces;
    buffer_init(&whole, OUT_MAX);
    buffer_init(&pieces, OUT_MAX);
    masker_counts_reset(masker);
    enum err a = run(masker, &o, rest, rest.size, &whole), b = run(masker, &o, rest, cut, &pieces);
    require(a == b && (a != OK || bytes_equal(buffer_bytes(&whole), buffer_bytes(&pieces))));
    memset(columns, 0, sizeof(columns));
    buffer_clear(&whole);
    a = run(idle, &o, rest, cut, &whole);
    require(a != OK || bytes_equal(buffer_bytes(&whole), rest));
    require((a == OK) == (b == OK) || b == ERR_LIMIT || a == ERR_LIMIT);
    buffer_finish(&whole);
    buffer_finish(&pieces);
    return 0;
}
