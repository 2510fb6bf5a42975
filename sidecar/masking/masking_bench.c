/* What masking costs: nanoseconds for a value of each redactor, megabytes per second of detection.
 */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "sidecar/masking/detector.h"
#include "sidecar/masking/redactor.h"

static int64_t now(void)
{
    struct clock c = clock_system();
    return clock_monotonic(&c);
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

int main(void)
{
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
