/* What the index of words is told of a section. */
#include <ctype.h>
#include <stdlib.h>

#include "controlplane/store/sqlite_batch_parts.h"
#include "controlplane/store/sqlite_marks.h"
#include "controlplane/store/sqlite_tokens.h"

/* ---- different numbers ------------------------------------------------------------------------
 */

enum { IDS_FIRST = 64 };

/* Open addressing; `used` are the slots in the order in which they were taken, so that a set which
 * was large once is emptied at the cost of what is in it. */
struct batch_ids {
    struct {
        int64_t id;
        bool is_used;
    } * slots;      /* owned */
    uint32_t *used; /* owned; half as many as there are slots */
    size_t room;    /* of slots: a power of two */
    size_t count;
};

static enum err ids_room(struct batch_ids *ids, size_t room)
{
    struct batch_ids grown = {
        .slots = calloc(room, sizeof(*grown.slots)),
        .used = calloc(room / 2, sizeof(*grown.used)),
        .room = room,
    };
    bool is_new = false;
    enum err err = grown.slots == NULL || grown.used == NULL ? ERR_NO_MEMORY : OK;
    for (size_t i = 0; err == OK && i < ids->count; i++) {
        err = batch_ids_add(&grown, ids->slots[ids->used[i]].id, &is_new);
    }
    struct batch_ids *old = err == OK ? ids : &grown;
    free(old->slots);
    free(old->used);
    if (err == OK) {
        *ids = grown;
    }
    return err;
}

enum err batch_ids_create(struct batch_ids **out)
{
    struct batch_ids *ids = calloc(1, sizeof(*ids));
    enum err err = ids == NULL ? ERR_NO_MEMORY : ids_room(ids, IDS_FIRST);
    if (err != OK) {
        free(ids);
        return err;
    }
    *out = ids;
    return OK;
}

void batch_ids_destroy(struct batch_ids *ids)
{
    if (ids != NULL) {
        free(ids->slots);
        free(ids->used);
        free(ids);
    }
}

void batch_ids_clear(struct batch_ids *ids)
{
    for (size_t i = 0; i < ids->count; i++) {
        ids->slots[ids->used[i]].is_used = false;
    }
    ids->count = 0;
}

/* Its slot: where it is, or where it is to be put. */
static size_t slot_of(const struct batch_ids *ids, int64_t id)
{
    size_t i = (size_t)batch_mix((uint64_t)id, 0) & (ids->room - 1);
    while (ids->slots[i].is_used && ids->slots[i].id != id) {
        i = (i + 1) & (ids->room - 1);
    }
    return i;
}

bool batch_ids_has(const struct batch_ids *ids, int64_t id)
{
    return ids->slots[slot_of(ids, id)].is_used;
}

size_t batch_ids_count(const struct batch_ids *ids)
{
    return ids->count;
}

enum err batch_ids_add(struct batch_ids *ids, int64_t id, bool *out_is_new)
{
    size_t slot = slot_of(ids, id);
    if (ids->slots[slot].is_used) {
        *out_is_new = false;
        return OK;
    }
    if (ids->count == ids->room / 2) {
        enum err err = ids_room(ids, 2 * ids->room);
        if (err != OK) {
            return err;
        }
        slot = slot_of(ids, id);
    }
    ids->slots[slot].id = id;
    ids->slots[slot].is_used = true;
    ids->used[ids->count++] = (uint32_t)slot;
    *out_is_new = true;
    return OK;
}

/* ---- the document -----------------------------------------------------------------------------
 */

/* Words are not longer than their texts; of tags a section has no more than its records name. */
enum { TEXT_SIZE_MAX = 2 * SECTION_UNPACKED_MAX, TAG_SIZE_MAX = 64 << 20 };

enum err batch_document_init(struct batch_document *document)
{
    buffer_init(&document->text, TEXT_SIZE_MAX);
    buffer_init(&document->tag, TAG_SIZE_MAX);
    buffer_init(&document->marks, MARKS_SIZE_MAX);
    buffer_init(&document->sealed, MARKS_SIZE_MAX + CONTENT_OVERHEAD);
    document->ids = NULL;
    return batch_ids_create(&document->ids);
}

void batch_document_finish(struct batch_document *document)
{
    buffer_finish(&document->text);
    buffer_finish(&document->tag);
    buffer_finish(&document->marks);
    buffer_finish(&document->sealed);
    batch_ids_destroy(document->ids);
    document->ids = NULL;
}

/* What parts words for the index of words, and is one byte: what is before and behind it are words
 * of their own. */
static bool is_separator(uint8_t c)
{
    return c < 0x80 && !isalnum(c);
}

static size_t same_from_front(const uint8_t *a, const uint8_t *b, size_t max)
{
    enum { BLOCK = 8 };
    size_t n = 0;
    while (max - n >= BLOCK && memcmp(a + n, b + n, BLOCK) == 0) {
        n += BLOCK;
    }
    while (n < max && a[n] == b[n]) {
        n++;
    }
    return n;
}

/* Both are one behind the last. */
static size_t same_from_end(const uint8_t *a, const uint8_t *b, size_t max)
{
    enum { BLOCK = 8 };
    size_t n = 0;
    while (max - n >= BLOCK && memcmp(a - n - BLOCK, b - n - BLOCK, BLOCK) == 0) {
        n += BLOCK;
    }
    while (n < max && a[-1 - (ptrdiff_t)n] == b[-1 - (ptrdiff_t)n]) {
        n++;
    }
    return n;
}

/* An agent's statements are mostly the one before with other values: what they have in common at
 * both ends, in whole words, is in the set already. */
static void text_compare(struct bytes before, struct bytes text, size_t *out_front, size_t *out_end)
{
    const size_t shorter = before.size < text.size ? before.size : text.size;
    *out_front = *out_end = 0;
    if (shorter == 0) {
        return;
    }
    size_t front = same_from_front(before.data, text.data, shorter);
    if (front == before.size && front == text.size) {
        *out_front = front;
        return;
    }
    while (front > 0 && !is_separator(text.data[front - 1])) {
        front--;
    }
    size_t end = same_from_end(before.data + before.size, text.data + text.size, shorter - front);
    while (end > 0 && !is_separator(text.data[text.size - end])) {
        end--;
    }
    *out_front = front;
    *out_end = end;
}

static enum err text_make(struct db *db, const struct section_content *contents, size_t count,
                          struct batch_document *out)
{
    struct bytes before = {0};
    enum err err = tokens_set_begin(db->tokens);
    for (size_t i = 0; err == OK && i < count; i++) {
        size_t front = 0, end = 0;
        if (contents[i].text.size > 0) {
            text_compare(before, contents[i].text, &front, &end);
            err = tokens_set_add_change(db->tokens, contents[i].text, front, end);
            before = contents[i].text;
        }
    }
    if (err == OK) {
        err = tokens_set_end(db->tokens, &out->text);
    }
    return err == OK ? tokens_set_marks(db->tokens, &out->marks) : err;
}

/* By hand: there are some for each section, and snprintf takes as long as ten of their words. */
static enum err tag_add(struct buffer *tag, char kind, int64_t id)
{
    char text[24], *at = text + sizeof(text);
    uint64_t left = id < 0 ? -(uint64_t)id : (uint64_t)id;
    *--at = ' ';
    do {
        *--at = (char)('0' + left % 10);
        left /= 10;
    } while (left > 0);
    if (id < 0) {
        *--at = '-';
    }
    *--at = kind;
    return buffer_append(tag, bytes_of(at, (size_t)(text + sizeof(text) - at)));
}

static enum err tag_add_new(struct batch_document *d, char kind, int64_t id)
{
    bool is_new = false;
    enum err err = batch_ids_add(d->ids, id, &is_new);
    return err == OK && is_new ? tag_add(&d->tag, kind, id) : err;
}

static enum err tables_add(struct batch_document *d, const struct section_record *records,
                           size_t count)
{
    enum err err = OK;
    batch_ids_clear(d->ids);
    for (size_t i = 0; err == OK && i < count; i++) {
        for (size_t t = 0; err == OK && t < records[i].table_count; t++) {
            err = tag_add_new(d, 't', records[i].tables[t].name);
        }
    }
    return err;
}

static enum err verdicts_add(struct batch_document *d, const struct section_record *records,
                             size_t count)
{
    enum err err = OK;
    batch_ids_clear(d->ids);
    for (size_t i = 0; err == OK && i < count; i++) {
        if (records[i].verdict != 0) {
            err = tag_add_new(d, 'v', records[i].verdict);
        }
    }
    return err;
}

static enum err tag_make(struct batch_document *d, int64_t session, int64_t identity,
                         int64_t resource, const struct section_record *records, size_t count)
{
    const struct {
        char kind;
        int64_t id;
    } owners[] = {{'s', session}, {'i', identity}, {'r', resource}};
    enum err err = OK;
    for (size_t i = 0; err == OK && i < sizeof(owners) / sizeof(owners[0]); i++) {
        if (owners[i].id != 0) {
            err = tag_add(&d->tag, owners[i].kind, owners[i].id);
        }
    }
    if (err == OK) {
        err = tables_add(d, records, count);
    }
    return err == OK ? verdicts_add(d, records, count) : err;
}

enum err batch_document_make(struct db *db, int64_t session, int64_t identity, int64_t resource,
                             const struct section_record *records,
                             const struct section_content *contents, size_t count,
                             struct batch_document *out)
{
    buffer_clear(&out->tag);
    buffer_clear(&out->marks);
    enum err err = text_make(db, contents, count, out);
    if (err == OK && buffer_size(&out->text) > 0) {
        err = tag_make(out, session, identity, resource, records, count);
    }
    return err;
}

enum err batch_marks_write(struct db *db, int64_t key, struct batch_document *document)
{
    sqlite3_stmt *add = NULL;
    if (buffer_size(&document->marks) == 0) {
        return OK;
    }
    enum err err =
        content_seal_marks(db->content, key, buffer_bytes(&document->marks), &document->sealed);
    if (err == OK) {
        err = db_statement(db, "INSERT OR REPLACE INTO audit_mark (key, marks) VALUES (?1, ?2)",
                           &add);
    }
    if (err == OK) {
        db_bind_number(add, 1, key);
        db_bind_blob(add, 2, buffer_bytes(&document->sealed));
        err = db_run(db, add);
    }
    return err;
}
