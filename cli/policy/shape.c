#include "cli/policy/shape.h"

#include <pg_query.h>
#include <pg_query/pg_query.pb-c.h>
#include <stdlib.h>

static const char ellipsis[] = "...";

struct writing {
    char *text; /* has max + 1 bytes */
    size_t size, max;
    bool full;
};

static void put(struct writing *w, struct bytes piece)
{
    size_t room = w->max - w->size;
    size_t n = piece.size < room ? piece.size : room;
    if (n > 0) {
        memcpy(w->text + w->size, piece.data, n);
        w->size += n;
    }
    w->full = w->full || n < piece.size;
}

static void end(struct writing *w)
{
    if (w->full && w->max >= sizeof(ellipsis) - 1) {
        w->size = w->max - (sizeof(ellipsis) - 1);
        /* Not in the middle of a character: RFC 3629 section 3. */
        while (w->size > 0 && ((uint8_t)w->text[w->size] & 0xc0) == 0x80) {
            w->size--;
        }
        memcpy(w->text + w->size, ellipsis, sizeof(ellipsis) - 1);
        w->size += sizeof(ellipsis) - 1;
    }
    w->text[w->size] = '\0';
}

static bool is_space(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r');
}

/* White space of any length is one space. */
static void put_squeezed(struct writing *w, struct bytes text)
{
    for (size_t i = 0; i < text.size && !w->full;) {
        size_t from = i;
        while (i < text.size && !is_space(text.data[i])) {
            i++;
        }
        if (i > from) {
            put(w, w->size == 0 ? bytes_of(NULL, 0) : bytes_of_string(" "));
            put(w, bytes_of(text.data + from, i - from));
        }
        while (i < text.size && is_space(text.data[i])) {
            i++;
        }
    }
}

/* The tokens, with one space where there was something between them. */
static void put_tokens(struct writing *w, struct bytes text, const PgQuery__ScanResult *scanned)
{
    size_t behind = 0;
    for (size_t i = 0; i < scanned->n_tokens && !w->full; i++) {
        const PgQuery__ScanToken *t = scanned->tokens[i];
        bool is_comment =
            t->token == PG_QUERY__TOKEN__SQL_COMMENT || t->token == PG_QUERY__TOKEN__C_COMMENT;
        if (is_comment || t->start < 0 || t->end < t->start || (size_t)t->end > text.size) {
            continue;
        }
        if (w->size > 0 && (size_t)t->start > behind) {
            put(w, bytes_of_string(" "));
        }
        put(w, bytes_of(text.data + t->start, (size_t)(t->end - t->start)));
        behind = (size_t)t->end;
    }
}

static void put_scanned(struct writing *w, const char *normal)
{
    PgQueryScanResult r = pg_query_scan(normal);
    PgQuery__ScanResult *scanned =
        r.error != NULL
            ? NULL
            : pg_query__scan_result__unpack(NULL, r.pbuf.len, (const uint8_t *)r.pbuf.data);
    if (scanned != NULL) {
        put_tokens(w, bytes_of_string(normal), scanned);
        pg_query__scan_result__free_unpacked(scanned, NULL);
    } else {
        put_squeezed(w, bytes_of_string(normal));
    }
    pg_query_free_scan_result(r);
}

/* False: it could not be done. */
static bool put_normalised(struct writing *w, struct bytes text)
{
    char *copy = bytes_to_string(text);
    if (copy == NULL) {
        return false;
    }
    PgQueryNormalizeResult r = pg_query_normalize(copy);
    bool done = r.error == NULL && r.normalized_query != NULL;
    if (done) {
        put_scanned(w, r.normalized_query);
    }
    pg_query_free_normalize_result(r);
    free(copy);
    return done;
}

char *shape_of(struct bytes text, bool is_sql, size_t max)
{
    struct writing w = {.text = malloc(max + 1), .max = max};
    if (w.text == NULL) {
        return NULL;
    }
    if (!is_sql || !put_normalised(&w, text)) {
        put_squeezed(&w, text);
    }
    end(&w);
    return w.text;
}
