#include "cli/verify/shown.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "base/crypto/crypto.h"
#include "cli/verify/json_read.h"
#include "formats/record.h"
#include "formats/text.h"

/* As records.jsonl has it; NULL is null. */
struct shown {
    const char *kind, *session, *sidecar, *time, *verdict, *text;
    uint64_t sequence;
};

/* Each text with its NUL, and whether it is there: no two ways to read the same bytes. */
static void add(struct crypto_sha256 *hash, const char *text)
{
    crypto_sha256_update(hash, bytes_of(text == NULL ? "-" : "+", 1));
    crypto_sha256_update(hash,
                         bytes_of(text == NULL ? "" : text, text == NULL ? 1 : strlen(text) + 1));
}

static void digest(const struct shown *s, uint8_t out[SHOWN_SIZE])
{
    struct crypto_sha256 hash;
    uint8_t whole[CRYPTO_SHA256_SIZE];
    char sequence[24];
    (void)snprintf(sequence, sizeof(sequence), "%" PRIu64, s->sequence);
    crypto_sha256_init(&hash);
    add(&hash, s->kind);
    add(&hash, s->session);
    add(&hash, s->sidecar);
    add(&hash, s->time);
    add(&hash, s->verdict);
    add(&hash, s->text);
    add(&hash, sequence);
    crypto_sha256_finish(&hash, whole);
    memcpy(out, whole, SHOWN_SIZE);
}

/* Owned; NULL with OK for no bytes. */
static enum err copy(struct bytes text, char **out)
{
    *out = text.size == 0 ? NULL : text_to_utf8(text);
    return *out == NULL && text.size > 0 ? ERR_NO_MEMORY : OK;
}

enum err shown_of_record(const struct scan *scan, uint8_t out[SHOWN_SIZE])
{
    char time[CLOCK_RFC3339_SIZE];
    char *session = NULL, *sidecar = NULL, *text = NULL;
    const char *kind = scan_kind_name(scan->kind);
    clock_format_rfc3339(scan->time_ns, time);
    enum err e = copy(scan->session, &session);
    e = e == OK ? copy(scan->sidecar, &sidecar) : e;
    e = e == OK ? copy(scan->text, &text) : e;
    if (e == OK) {
        const char *empty = scan->kind == SCAN_INTENT ? "" : NULL;
        struct shown s = {
            .kind = kind == NULL ? "unknown" : kind,
            .session = session,
            .sidecar = sidecar,
            .time = time,
            .verdict = scan->verdict > INT32_MAX
                           ? NULL
                           : record_verdict_name((Chaperone__V1__Verdict)scan->verdict),
            .text = text == NULL ? empty : text,
            .sequence = scan->sequence,
        };
        digest(&s, out);
    }
    free(session);
    free(sidecar);
    free(text);
    return e;
}

enum err shown_of_line(struct bytes json, uint8_t out[SHOWN_SIZE])
{
    struct shown s = {0};
    cJSON *line = json_read(json);
    bool good = line != NULL && json_read_string(line, "kind", &s.kind) &&
                json_read_string_or_null(line, "session", &s.session) &&
                json_read_string_or_null(line, "sidecar", &s.sidecar) &&
                json_read_string(line, "time", &s.time) &&
                json_read_string_or_null(line, "verdict", &s.verdict) &&
                json_read_string_or_null(line, "text", &s.text) &&
                json_read_number(line, "sequence", &s.sequence);
    if (good) {
        digest(&s, out);
    }
    cJSON_Delete(line);
    return good ? OK : ERR_INVALID;
}
