/* What masking costs of bodies: megabytes per second, of the processor's time. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sidecar/masking/masker_body_support.h"

static const char detectors[] = "{'detect':['email','card','iban','ssn','phone','private_key',"
                                "'jwt','api_key'],'with':{'fixed':'[d]'}}";
static const char fields[] = "{'fields':['email','*_token'],'json':['/*/customer/ssn'],"
                             "'with':{'partial':{'keep_last':4}}}";

static double now(void)
{
    struct timespec t;
    if (clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t) != 0) {
        exit(1);
    }
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void measure(const char *name, const char *masks, enum masker_body_kind kind,
                    const char *record)
{
    enum { PIECE = 16 << 10, TOTAL = 64 << 20 };
    struct masker *m = masker_of(masks);
    struct masker_body *b = NULL;
    struct buffer piece, out;
    buffer_init(&piece, 2 * PIECE);
    buffer_init(&out, 4 * PIECE);
    if (m == NULL || masker_body_create(m, kind, &b, NULL) != OK) {
        exit(1);
    }
    while (buffer_size(&piece) < PIECE) {
        if (buffer_append_string(&piece, record) != OK) {
            exit(1);
        }
    }
    double start = now();
    size_t done = 0;
    for (; done < TOTAL; done += buffer_size(&piece)) {
        buffer_clear(&out);
        if (masker_body_feed(b, buffer_bytes(&piece), &out) != OK) {
            exit(1);
        }
    }
    printf("%-32s %8.0f MB/s\n", name, (double)done / 1e6 / (now() - start));
    masker_body_destroy(b);
    masker_destroy(m);
    buffer_finish(&piece);
    buffer_finish(&out);
}

int main(void)
{
    static const char json[] =
        "{\"id\":10042,\"customer\":{\"name\":\"Jane Doe\",\"email\":\"jane.doe@example.org\","
        "\"ssn\":\"078-05-1120\",\"since\":\"2021-03-04T05:06:07Z\"},\"items\":[{\"sku\":\"A-17\","
        "\"price\":12.50,\"text\":\"A rather nice thing, with a lid and a handle\"},"
        "{\"sku\":\"B-4\",\"price\":3,\"text\":\"Another one\"}],\"paid\":true,\"note\":null}\n";
    static const char text[] = "The quick brown fox jumps over 13 lazy dogs, order 12345.\n";
    static const char form[] = "id=10042&name=Jane+Doe&email=jane.doe%40example.org&paid=true&";
    char masks[1024];
    (void)snprintf(masks, sizeof(masks), "[%s]", fields);
    measure("JSON, fields", masks, MASKER_BODY_JSON, json);
    measure("form, fields", masks, MASKER_BODY_FORM, form);
    (void)snprintf(masks, sizeof(masks), "[%s]", detectors);
    measure("JSON, detectors", masks, MASKER_BODY_JSON, json);
    measure("text, detectors", masks, MASKER_BODY_TEXT, text);
    (void)snprintf(masks, sizeof(masks), "[%s,%s]", fields, detectors);
    measure("JSON, fields and detectors", masks, MASKER_BODY_JSON, json);
    return 0;
}
