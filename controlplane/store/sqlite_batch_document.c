/* What the index of words is told of a section. */
#include <ctype.h>
#include <stdlib.h>

#include "controlplane/store/sqlite_batch_parts.h"
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
    document->ids = NULL;
    return batch_ids_create(&document->ids);
}

void batch_document_finish(struct batch_document *document)
{
    buffer_finish(&document->text);
    buffer_finish(&document->tag);
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
static struct bytes text_difference(struct bytes before, struct bytes text)
{
    const size_t shorter = before.size < text.size ? before.size : text.size;
    if (shorter == 0) {
        return text;
    }
    size_t front = same_from_front(before.data, text.data, shorter);
    if (front == before.size && front == text.size) {
        return bytes_of(text.data, 0);
    }
    while (front > 0 && !is_separator(text.data[front - 1])) {
        front--;
    }
    size_t end = same_from_end(before.data + before.size, text.data + text.size, shorter - front);
    while (end > 0 && !is_separator(text.data[text.size - end])) {
        end--;
    }
    return bytes_of(text.data + front, text.size - front - end);
}

static enum err text_make(struct db *db, const struct section_content *contents, size_t count,
                          struct buffer *out)
{
    struct bytes before = {0};
    enum err err = tokens_set_begin(db->tokens);
    for (size_t i = 0; err == OK && i < count; i++) {
        if (contents[i].text.size > 0) {
            err = tokens_set_add(db->tokens, text_difference(before, contents[i].text));
            before = contents[i].text;
        }
    }
    return err == OK ? tokens_set_end(db->tokens, out) : err;
}

static enum err tag_add(struct buffer *tag, char kind, int64_t id)
{
    return buffer_append_format(tag, "%c%lld ", kind, (long long)id);
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
    enum err err = text_make(db, contents, count, &out->text);
    if (err == OK && buffer_size(&out->text) > 0) {
        err = tag_make(out, session, identity, resource, records, count);
    }
    return err;
}
