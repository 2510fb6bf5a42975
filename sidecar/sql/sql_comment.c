#include <pg_query.h>
#include <stdlib.h>
#include <strings.h>

#include "sidecar/sql/sql_parse.h"
#include "sidecar/sql/sql_walk.h"

static const struct {
    const char *key;
    enum sql_note_kind kind;
} keys[] = {
    {"reason:", SQL_NOTE_REASON},
    {"on_behalf_of:", SQL_NOTE_ON_BEHALF_OF},
    {"ticket:", SQL_NOTE_TICKET},
};

/* White space, and the stars that decorate comments. */
static bool is_padding(uint8_t c)
{
    return c == ' ' || (c >= '\t' && c <= '\r') || c == '*';
}

static struct bytes trim(struct bytes b)
{
    while (b.size > 0 && is_padding(b.data[0])) {
        b.data++;
        b.size--;
    }
    while (b.size > 0 && is_padding(b.data[b.size - 1])) {
        b.size--;
    }
    return b;
}

/* Not in the middle of a UTF-8 character. */
static struct bytes cut(struct bytes b)
{
    if (b.size > SQL_NOTE_SIZE_MAX) {
        b.size = SQL_NOTE_SIZE_MAX;
        while (b.size > 0 && (b.data[b.size] & 0xc0) == 0x80) {
            b.size--;
        }
    }
    return b;
}

static size_t part_read(struct bytes part, struct sql_note *out)
{
    part = trim(part);
    for (size_t i = 0; i < sizeof(keys) / sizeof(keys[0]); i++) {
        size_t size = strlen(keys[i].key);
        if (part.size > size && strncasecmp((const char *)part.data, keys[i].key, size) == 0) {
            struct bytes value = cut(trim(bytes_of(part.data + size, part.size - size)));
            if (value.size > 0) {
                *out = (struct sql_note){.kind = keys[i].kind, .value = value};
                return 1;
            }
        }
    }
    return 0;
}

/* `comment` without its marks: lines, and parts between semicolons. */
static size_t comment_read(struct bytes comment, struct sql_note *out, size_t room)
{
    size_t count = 0;
    size_t start = 0;
    if (comment.size == 0) {
        return 0; /* it may be nowhere: nothing is added to NULL */
    }
    for (size_t i = 0; i <= comment.size && count < room; i++) {
        bool at_end = i == comment.size;
        if (at_end || comment.data[i] == '\n' || comment.data[i] == '\r' ||
            comment.data[i] == ';') {
            count += part_read(bytes_of(comment.data + start, i - start), &out[count]);
            start = i + 1;
        }
    }
    return count;
}

size_t sql_notes_read(struct bytes text, struct sql_note out[SQL_NOTES_MAX])
{
    return comment_read(text, out, SQL_NOTES_MAX);
}

static size_t tokens_read(struct bytes text, const PgQuery__ScanResult *tokens,
                          struct sql_note out[SQL_NOTES_MAX])
{
    size_t count = 0;
    for (size_t i = 0; i < tokens->n_tokens && count < SQL_NOTES_MAX; i++) {
        const PgQuery__ScanToken *t = tokens->tokens[i];
        bool block = t->token == PG_QUERY__TOKEN__C_COMMENT;
        if (!block && t->token != PG_QUERY__TOKEN__SQL_COMMENT) {
            continue;
        }
        if (t->start < 0 || t->end < t->start || (size_t)t->end > text.size) {
            continue;
        }
        size_t marks = block ? 4 : 2;
        size_t size = (size_t)(t->end - t->start);
        if (size > marks) {
            count += comment_read(bytes_of(text.data + t->start + 2, size - marks), out + count,
                                  SQL_NOTES_MAX - count);
        }
    }
    return count;
}

static bool has_comment(struct bytes text)
{
    return text.size >= 2 && (memmem(text.data, text.size, "--", 2) != NULL ||
                              memmem(text.data, text.size, "/*", 2) != NULL);
}

/* A colon after one of the keys' last letters: spares the scan of texts whose comments say nothing.
 */
static bool has_key(struct bytes text)
{
    const uint8_t *end = text.data + text.size;
    for (const uint8_t *p = text.data; (p = memchr(p, ':', (size_t)(end - p))) != NULL; p++) {
        uint8_t before = p == text.data ? 0 : p[-1] | 0x20;
        if (before == 'n' || before == 'f' || before == 't') {
            return true;
        }
    }
    return false;
}

size_t sql_comments_read(struct bytes text, struct sql_note out[SQL_NOTES_MAX])
{
    if (text.size < 2 || text.size > SQL_TEXT_SIZE_DEFAULT || !has_key(text) ||
        !has_comment(text) || memchr(text.data, 0, text.size) != NULL) {
        return 0;
    }
    size_t count = 0;
    char *copy = bytes_to_string(text);
    struct arena *scratch = arena_create(SCRATCH_BLOCK, SCRATCH_MAX);
    if (copy != NULL && scratch != NULL) {
        PgQueryScanResult scan = pg_query_scan(copy);
        ProtobufCAllocator allocator = parse_allocator(scratch);
        const PgQuery__ScanResult *tokens =
            scan.error != NULL ? NULL
                               : pg_query__scan_result__unpack(&allocator, scan.pbuf.len,
                                                               (const uint8_t *)scan.pbuf.data);
        count = tokens == NULL ? 0 : tokens_read(text, tokens, out);
        pg_query_free_scan_result(scan);
    }
    free(copy);
    arena_destroy(scratch);
    return count;
}
