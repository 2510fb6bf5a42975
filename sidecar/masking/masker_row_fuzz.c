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

/* Where it stands a row becomes the same, and is counted alike; for that it does not need the room
 * that the other one does. */
static void check_in_place(struct masker *m, const struct masker_column *columns, size_t count,
                           struct bytes body, enum err expected, struct bytes masked)
{
    const struct masker_count *counts = NULL;
    struct masker_count before[2 * COLUMNS_MAX * RULES];
    size_t n = masker_counts(m, &counts);
    require(n <= sizeof(before) / sizeof(before[0]));
    if (n > 0) {
        memcpy(before, counts, n * sizeof(before[0]));
    }
    masker_counts_reset(m);
    uint8_t *memory = malloc(body.size + 1);
    struct buffer out;
    bool moved = false;
    buffer_init(&out, 1 << 24);
    require(memory != NULL);
    if (body.size > 0) {
        memcpy(memory, body.data, body.size);
    }
    enum err e = masker_row_in_place(m, columns, count, memory, body.size, &out, &moved);
    require(e == expected || (e == OK && expected == ERR_LIMIT));
    require(e == OK || buffer_size(&out) == 0);
    if (expected == OK) {
        struct bytes made = moved ? buffer_bytes(&out) : bytes_of(memory, body.size);
        require(bytes_equal(made, masked));
        require(masker_counts(m, &counts) == n);
        for (size_t i = 0; i < n; i++) {
            require(counts[i].rule == before[i].rule && counts[i].column == before[i].column &&
                    counts[i].by_content == before[i].by_content &&
                    counts[i].rows == before[i].rows);
        }
    }
    free(memory);
    buffer_finish(&out);
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
    check_in_place(masker, columns, count, body, e, buffer_bytes(&out));
    memset(columns, 0, sizeof(columns));
    buffer_clear(&out);
    enum err passed = masker_row(plain, columns, count, body, &out);
    require((passed == OK) == (e == OK || e == ERR_LIMIT));
    require(passed != OK || bytes_equal(buffer_bytes(&out), body));
    buffer_finish(&out);
    return 0;
}
