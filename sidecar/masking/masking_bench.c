/* What masking costs: nanoseconds for a value of each redactor, megabytes per second of detection.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sidecar/masking/detector.h"
#include "sidecar/masking/masker.h"
#include "sidecar/masking/redactor.h"

/* Of this process: what else runs on the machine makes less of a difference. */
static int64_t now(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) {
        exit(1);
    }
    return (int64_t)t.tv_sec * 1000000000 + t.tv_nsec;
}

static void measure(const char *name, struct redactor_config config, uint32_t type,
                    const char *text)
{
    enum { ROUNDS = 200000 };
    struct redactor *r = NULL;
    struct buffer out;
    buffer_init(&out, 4096);
    if (redactor_create(&config, &r, NULL) != OK) {
        exit(1);
    }
    int64_t start = now();
    for (int i = 0; i < ROUNDS; i++) {
        buffer_clear(&out);
        if (redactor_apply(r, type, false, bytes_of_string(text), &out) == REDACTOR_FAILED) {
            exit(1);
        }
    }
    printf("%-28s %8" PRId64 " ns\n", name, (now() - start) / ROUNDS);
    redactor_destroy(r);
    buffer_finish(&out);
}

static void measure_detection(const char *name, size_t size, bool is_json)
{
    enum { TOTAL = 64 << 20 };
    const struct detector_config config = {.built_in = UINT32_MAX};
    static const char words[] = "The quick brown fox jumps over 13 lazy dogs, order 12345. ";
    struct detector *d = NULL;
    struct detector_stream *s = NULL;
    char *text = malloc(size);
    if (text == NULL || detector_create(&config, &d, NULL) != OK ||
        detector_stream_create(d, &s) != OK) {
        exit(1);
    }
    for (size_t i = 0; i < size; i++) {
        text[i] = words[i % (sizeof(words) - 1)];
    }
    int64_t start = now();
    for (size_t done = 0; done < TOTAL / (is_json ? 8 : 1); done += size) {
        struct detector_result found;
        if (detector_scan(s, bytes_of(text, size), is_json, &found) != OK) {
            exit(1);
        }
    }
    double seconds = (double)(now() - start) / 1e9;
    printf("%-28s %8.0f MB/s\n", name, (double)(TOTAL / (is_json ? 8 : 1)) / 1e6 / seconds);
    detector_stream_destroy(s);
    detector_destroy(d);
    free(text);
}

/* ---- rows of ten columns -------------------------------------------------------------------- */

enum { COLUMNS = 10, INT4 = 23, TEXT = 25, TIMESTAMPTZ = 1184, NUMERIC = 1700 };

static const uint32_t row_types[COLUMNS] = {INT4, TEXT, TEXT, TEXT, TIMESTAMPTZ,
                                            INT4, INT4, 16,   2950, NUMERIC};
static const char *const row_values[COLUMNS] = {"123456",
                                                "Jane Doe",
                                                "123-45-6789",
                                                "12 Long Street, Springfield",
                                                "2024-02-29 12:34:56.789+00",
                                                "42",
                                                "-7",
                                                "t",
                                                "6f1c2b9e-8a51-4c55-9d0c-3f6f8f1f2a4b",
                                                "1234.50"};

static struct buffer make_row(void)
{
    struct buffer b;
    buffer_init(&b, 4096);
    bool ok = buffer_append(&b, bytes_of("\0\12", 2)) == OK;
    for (size_t i = 0; i < COLUMNS; i++) {
        const uint8_t size[] = {0, 0, 0, (uint8_t)strlen(row_values[i])};
        ok = ok && buffer_append(&b, bytes_of(size, 4)) == OK &&
             buffer_append_string(&b, row_values[i]) == OK;
    }
    if (!ok) {
        exit(1);
    }
    return b;
}

static void measure_rows(const char *name, const struct policy_mask *rule, size_t redacted)
{
    enum { ROUNDS = 500000 };
    struct masker *m = NULL;
    struct masker_column columns[COLUMNS] = {{0}};
    struct buffer row = make_row(), out;
    buffer_init(&out, 4096);
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i].type = row_types[i];
        columns[i].action = i == redacted ? MASKER_REDACT : MASKER_PASS;
    }
    if (masker_create(&rule, 1, bytes_of("0123456789abcdef0123456789abcdef", 32), &m, NULL) != OK) {
        exit(1);
    }
    int64_t start = now();
    for (int i = 0; i < ROUNDS; i++) {
        buffer_clear(&out);
        if (masker_row(m, columns, COLUMNS, buffer_bytes(&row), &out) != OK) {
            exit(1);
        }
    }
    printf("%-28s %8" PRId64 " ns a row\n", name, (now() - start) / ROUNDS);
    masker_destroy(m);
    buffer_finish(&row);
    buffer_finish(&out);
}

/* A result as it comes: rows behind each other, masked where they stand. Each round has
 * them anew, which is not measured. */
static void measure_rows_in_place(const char *name, const struct policy_mask *rule, size_t redacted)
{
    enum { ROWS = 4096, ROUNDS = 250 };
    struct masker *m = NULL;
    struct masker_column columns[COLUMNS] = {{0}};
    struct buffer row = make_row(), out;
    const size_t size = buffer_size(&row);
    uint8_t *rows = malloc(size * ROWS);
    buffer_init(&out, 4096);
    for (size_t i = 0; i < COLUMNS; i++) {
        columns[i].type = row_types[i];
        columns[i].action = i == redacted ? MASKER_REDACT : MASKER_PASS;
    }
    if (rows == NULL ||
        masker_create(&rule, 1, bytes_of("0123456789abcdef0123456789abcdef", 32), &m, NULL) != OK) {
        exit(1);
    }
    int64_t spent = 0;
    for (int i = 0; i < ROUNDS; i++) {
        for (size_t r = 0; r < ROWS; r++) {
            memcpy(rows + r * size, buffer_bytes(&row).data, size);
        }
        int64_t start = now();
        for (size_t r = 0; r < ROWS; r++) {
            bool moved = false;
            buffer_clear(&out);
            if (masker_row_in_place(m, columns, COLUMNS, rows + r * size, size, &out, &moved) !=
                OK) {
                exit(1);
            }
        }
        spent += now() - start;
    }
    printf("%-28s %8" PRId64 " ns a row\n", name, spent / (ROWS * ROUNDS));
    masker_destroy(m);
    free(rows);
    buffer_finish(&row);
    buffer_finish(&out);
}

static void measure_all_rows(void)
{
    struct policy_detector all[DETECTOR_BUILT_IN];
    for (unsigned i = 0; i < DETECTOR_BUILT_IN; i++) {
        all[i] = (struct policy_detector){.name = detector_name(i)};
    }
    const struct policy_mask partial = {
        .redaction = POLICY_REDACT_PARTIAL, .keep_last = 4, .keep_separators = true};
    const struct policy_mask hash = {.redaction = POLICY_REDACT_HASH};
    struct policy_mask content = partial;
    content.detectors = all;
    content.detector_count = DETECTOR_BUILT_IN;
    measure_rows("row, one column partial", &partial, 2);
    measure_rows_in_place("row in place, partial", &partial, 2);
    measure_rows("row, one column hashed", &hash, 2);
    measure_rows_in_place("row in place, hashed", &hash, 2);
    measure_rows("row, all detectors", &content, COLUMNS);
    measure_rows("row, both", &content, 2);
    int64_t start = now();
    const struct policy_mask *rule = &content;
    struct masker *m = NULL;
    if (masker_create(&rule, 1, (struct bytes){0}, &m, NULL) != OK) {
        exit(1);
    }
    printf("%-28s %8" PRId64 " us\n", "compiling all detectors", (now() - start) / 1000);
    masker_destroy(m);
}

int main(void)
{
    measure_all_rows();
    struct bytes key = bytes_of("0123456789abcdef", 16);
    measure("fixed text", (struct redactor_config){.kind = REDACTOR_TO_FIXED, .text = key}, 25,
            "x");
    measure("partial text",
            (struct redactor_config){
                .kind = REDACTOR_TO_PARTIAL, .keep_last = 4, .keep_separators = true},
            25, "123-45-6789");
    measure("hash text", (struct redactor_config){.kind = REDACTOR_TO_HASH, .key = key}, 25,
            "jane.doe@example.org");
    measure("hash int8", (struct redactor_config){.kind = REDACTOR_TO_HASH, .key = key}, 20,
            "123456789012");
    measure("digits text", (struct redactor_config){.kind = REDACTOR_TO_DIGITS, .key = key}, 25,
            "4111-1111-1111-1111");
    measure("date of a timestamptz", (struct redactor_config){.kind = REDACTOR_TO_DATE}, 1184,
            "2024-02-29 12:34:56.789+00");
    measure_detection("detection, values of 32", 32, false);
    measure_detection("detection, values of 1 KB", 1 << 10, false);
    measure_detection("detection, values of 1 MB", 1 << 20, false);
    measure_detection("detection, JSON of 1 KB", 1 << 10, true);
    return 0;
}
