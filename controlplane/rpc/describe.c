#include "controlplane/rpc/describe.h"

#include <stdio.h>

#include "base/clock.h"
#include "formats/text.h"

struct description {
    char *out;
    size_t size;
};

/* What has no room is left out: every text is cut long before. */
static void put(struct description *d, struct bytes text)
{
    if (d->size + text.size < DESCRIBE_SIZE) {
        memcpy(d->out + d->size, text.data, text.size);
        d->size += text.size;
        d->out[d->size] = '\0';
    }
}

static void put_string(struct description *d, const char *text)
{
    put(d, bytes_of_string(text));
}

static void put_key(struct description *d, const char *key)
{
    put_string(d, d->size == 0 ? "" : ", ");
    put_string(d, key);
}

static void put_plain(struct description *d, const char *text, size_t max)
{
    struct bytes rest = bytes_of_string(text);
    struct text_unit unit;
    size_t end = d->size + max;
    while (text_next(&rest, TEXT_ESCAPED, &unit)) {
        if (d->size + unit.size > end) {
            put_string(d, "...");
            return;
        }
        put(d, bytes_of(unit.bytes, unit.size));
    }
}

static void put_quoted(struct description *d, const char *text)
{
    put_string(d, "\"");
    put_plain(d, text, DESCRIBE_TEXT_MAX);
    put_string(d, "\"");
}

static void put_text(struct description *d, const char *key, const char *text)
{
    if (text[0] != '\0') {
        put_key(d, key);
        put_string(d, " ");
        put_quoted(d, text);
    }
}

static void put_time(struct description *d, const char *key, int64_t time_ns)
{
    char time[CLOCK_RFC3339_SIZE];
    if (time_ns != 0) {
        clock_format_rfc3339(time_ns, time);
        put_key(d, key);
        put_string(d, " ");
        put_string(d, time);
    }
}

static void put_verdict(struct description *d, Chaperone__V1__Verdict verdict)
{
    if (verdict != CHAPERONE__V1__VERDICT__VERDICT_UNSPECIFIED) {
        put_key(d, verdict == CHAPERONE__V1__VERDICT__ALLOW  ? "verdict allow"
                   : verdict == CHAPERONE__V1__VERDICT__DENY ? "verdict deny"
                   : verdict == CHAPERONE__V1__VERDICT__HOLD ? "verdict hold"
                                                             : "an unknown verdict");
    }
}

static void put_number(struct description *d, const char *key, unsigned number)
{
    char text[16];
    if (number != 0) {
        (void)snprintf(text, sizeof(text), " %u", number);
        put_key(d, key);
        put_string(d, text);
    }
}

void describe_search(const Chaperone__V1__SearchRequest *request, char out[DESCRIBE_SIZE])
{
    struct description d = {.out = out};
    out[0] = '\0';
    put_text(&d, "identity", request->identity);
    put_text(&d, "resource", request->resource);
    put_text(&d, "session", request->session);
    put_time(&d, "since", request->since_unix_ns);
    put_time(&d, "until", request->until_unix_ns);
    put_text(&d, "text", request->text);
    put_text(&d, "table", request->table);
    put_verdict(&d, request->verdict);
    for (size_t i = 0; i < request->n_kinds && i < 16; i++) {
        put_text(&d, "kind", request->kinds[i]);
    }
    put_string(&d, d.size == 0 ? "everything" : "");
    put_number(&d, "newest", request->limit);
}

void describe_approvals(const Chaperone__V1__ListApprovalsRequest *request, char out[DESCRIBE_SIZE])
{
    struct description d = {.out = out};
    out[0] = '\0';
    put_string(&d, request->include_ended ? "all" : "waiting");
    put_text(&d, "resource", request->resource);
    put_text(&d, "identity", request->identity);
    put_number(&d, "newest", request->limit);
}

void describe_standing(const Chaperone__V1__ListStandingRequest *request, char out[DESCRIBE_SIZE])
{
    struct description d = {.out = out};
    out[0] = '\0';
    put_string(&d, request->include_ended ? "all standing" : "standing");
    put_text(&d, "resource", request->resource);
    put_text(&d, "identity", request->identity);
    put_text(&d, "before", request->before);
    put_number(&d, "newest", request->limit);
}

void describe_one(const char *what, const char *text, char out[DESCRIBE_SIZE])
{
    struct description d = {.out = out};
    out[0] = '\0';
    put_text(&d, what, text);
}

void describe_plain(const char *text, char out[DESCRIBE_SIZE])
{
    struct description d = {.out = out};
    out[0] = '\0';
    put_plain(&d, text, DESCRIBE_SIZE - 8);
}
