/* The first byte says how many columns, one for each what is done with it; then the row. Masked it
 * is a row of as many columns again, and untouched where nothing is to be masked. */
#include "sidecar/masking/masker.h"

#include <stdlib.h>

#include "base/cursor.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { COLUMNS_MAX = 16, RULES = 5 };

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static struct masker *create(bool has_detectors)
{
    static const struct policy_detector detectors[] = {
        {"email", NULL, false},       {"card", NULL, false}, {"iban", NULL, false},
        {"private_key", NULL, false}, {"jwt", NULL, false},  {"own", "ab[0-9]{1,9}c", false}};
    static const struct policy_mask masks[RULES] = {
        {.redaction = POLICY_REDACT_FIXED,
         .text = "#\"\\,",
         .detectors = detectors,
         .detector_count = 6},
        {.redaction = POLICY_REDACT_PARTIAL, .keep_last = 4, .keep_separators = true},
        {.redaction = POLICY_REDACT_HASH},
        {.redaction = POLICY_REDACT_DIGITS, .replace_letters = true},
        {.redaction = POLICY_REDACT_DATE},
    };
    static const struct policy_mask plain = {.redaction = POLICY_REDACT_NULL};
    const struct policy_mask *rules[RULES] = {&masks[0], &masks[1], &masks[2], &masks[3],
                                              &masks[4]};
    const struct policy_mask *none[] = {&plain};
    struct masker *m = NULL;
    struct bytes key = bytes_of("0123456789abcdef0123456789abcdef", 32);
    require(masker_create(has_detectors ? rules : none, has_detectors ? RULES : 1, key, &m, NULL) ==
            OK);
    return m;
}

/* A row of so many columns, with a NULL wherever there was one. */
static void check_row(struct bytes before, struct bytes after, size_t count)
{
    struct cursor a = cursor_of(before), b = cursor_of(after);
    require(cursor_read_u16(&a) == count && cursor_read_u16(&b) == count);
    for (size_t i = 0; i < count; i++) {
        uint32_t x = cursor_read_u32(&a), y = cursor_read_u32(&b);
        require(x != UINT32_MAX || y == UINT32_MAX);
        (void)cursor_read_bytes(&a, x == UINT32_MAX ? 0 : x);
        (void)cursor_read_bytes(&b, y == UINT32_MAX ? 0 : y);
    }
    require(cursor_is_complete(&a) && cursor_is_complete(&b));
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static const uint32_t types[] = {25,   23,   20,   1700, 17,   114,  3802, 1009,
                                     1016, 3807, 1082, 1184, 2950, 1001, 142,  16385};
    static struct masker *masker, *plain; /* compiled once for the process */
    struct masker_column columns[COLUMNS_MAX];
    if (masker == NULL) {
        masker = create(true);
        plain = create(false);
    }
    size_t count = size == 0 ? 0 : data[0] % (COLUMNS_MAX + 1);
    if (size < 1 + count) {
        return 0;
    }
    for (size_t i = 0; i < count; i++) {
        uint8_t what = data[1 + i];
        columns[i] = (struct masker_column){.action = (enum masker_action)((what >> 5) % 3),
                                            .rule = (what >> 4) % RULES,
                                            .is_binary = what & 1,
                                            .type = types[(what >> 1) % 16]};
    }
    struct bytes body = bytes_of(data + 1 + count, size - 1 - count);
    struct buffer out;
    buffer_init(&out, 1 << 24);
    masker_counts_reset(masker);
    enum err e = masker_row(masker, columns, count, body, &out);
    require(e == OK || buffer_size(&out) == 0);
    if (e == OK) {
        check_row(body, buffer_bytes(&out), count);
    }
    memset(columns, 0, sizeof(columns));
    buffer_clear(&out);
    enum err passed = masker_row(plain, columns, count, body, &out);
    require((passed == OK) == (e == OK || e == ERR_LIMIT));
    require(passed != OK || bytes_equal(buffer_bytes(&out), body));
    buffer_finish(&out);
    return 0;
}
