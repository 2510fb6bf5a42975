#include "controlplane/export/batch.h"

#include <stdlib.h>

#include "controlplane/audit/record.h"

enum {
    ARENA_BLOCK = 1 << 18,
    /* A page, one record beyond it, and for each entry its names, which may be as long as a record.
     */
    ARENA_CAP = 512 << 20,
    /* A record of 1 MiB may be six times as long in JSON: every byte of it escaped. */
    TEXT_CAP = 64 << 20,
};

struct export_batch {
    const struct config_export *config;
    struct store *store;
    const struct log *log;
    struct store_audit_filter filter;
    struct arena *arena;
    struct buffer text;
    struct store_audit_entry *entries;
    size_t count, omitted;
    uint64_t position;
    bool has_more;
    uint64_t told; /* omissions up to this position are in the log */
    struct export_line lines[EXPORT_BATCH_MAX];
    size_t ends[EXPORT_BATCH_MAX]; /* of the lines, in `text` */
    bool is_refused[EXPORT_BATCH_MAX];
};

static struct store_audit_filter filter_of(const struct config_export *config)
{
    struct store_audit_filter filter = {.identity = config->filter.identity,
                                        .resource = config->filter.resource,
                                        .verdict = config->filter.verdict};
    for (size_t i = 0; i < config->filter.kinds.count; i++) {
        enum store_audit_kind kind = STORE_INTENT;
        if (audit_kind_parse(config->filter.kinds.items[i], &kind) == OK) {
            filter.kinds |= store_kind_bit(kind);
        }
    }
    return filter;
}

struct export_batch *export_batch_create(const struct config_export *config, struct store *store,
                                         const struct log *log)
{
    struct export_batch *b = calloc(1, sizeof(*b));
    if (b == NULL) {
        return NULL;
    }
    b->config = config;
    b->store = store;
    b->log = log;
    b->filter = filter_of(config);
    buffer_init(&b->text, TEXT_CAP);
    b->arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (b->arena == NULL) {
        export_batch_destroy(b);
        return NULL;
    }
    return b;
}

void export_batch_destroy(struct export_batch *batch)
{
    if (batch != NULL) {
        arena_destroy(batch->arena);
        buffer_finish(&batch->text);
        free(batch);
    }
}

enum err export_batch_read(struct export_batch *batch, uint64_t after, uint64_t position_max,
                           struct err_text *why)
{
    arena_reset(batch->arena);
    memset(batch->is_refused, 0, sizeof(batch->is_refused));
    batch->count = 0;
    batch->filter.position_max = position_max;
    enum err e = store_audit_follow(batch->store, &batch->filter, after, EXPORT_BATCH_MAX,
                                    EXPORT_BATCH_BYTES, batch->arena, &batch->entries,
                                    &batch->count, &batch->position, &batch->has_more, why);
    return e == OK || (why != NULL && why->text[0] != '\0')
               ? e
               : err_set(why, e, "the store cannot be read");
}

bool export_batch_cut(struct export_batch *batch, int64_t until_ns)
{
    for (size_t i = 0; i < batch->count; i++) {
        if (batch->entries[i].received_ns >= until_ns) {
            batch->count = i;
            batch->position = batch->entries[i].position - 1;
            return true;
        }
    }
    return false;
}

static void tell(struct export_batch *b, const struct store_audit_entry *entry,
                 enum export_omission why)
{
    static const char *const reasons[] = {[EXPORT_WHOLE] = "",
                                          [EXPORT_ERASED] = "erased",
                                          [EXPORT_UNREADABLE] = "it cannot be read",
                                          [EXPORT_TOO_LARGE] =
                                              "it is larger than the destination takes",
                                          [EXPORT_REFUSED] = "the destination refuses it"};
    if (entry->position > b->told) {
        b->told = entry->position;
        log_event(b->log, LOG_WARN, "export_record_omitted", log_text("job", b->config->name),
                  log_number("position", (int64_t)entry->position),
                  log_text("reason", reasons[why]));
    }
}

static enum err render_line(struct export_batch *b, size_t i, size_t line_max)
{
    const struct store_audit_entry *entry = &b->entries[i];
    enum export_omission omitted = EXPORT_REFUSED;
    enum err e = OK;
    if (b->is_refused[i]) {
        e = export_line_append_omitted(b->config, entry, omitted, &b->text);
    } else {
        e = export_line_append(b->config, entry, line_max, &b->text, &omitted);
        if (e == ERR_LIMIT) {
            omitted = EXPORT_TOO_LARGE;
            e = export_line_append_omitted(b->config, entry, omitted, &b->text);
        }
    }
    if (e == OK && omitted != EXPORT_WHOLE && omitted != EXPORT_ERASED) {
        b->omitted++;
        tell(b, entry, omitted);
    }
    return e;
}

enum err export_batch_render(struct export_batch *batch, size_t line_max, struct err_text *why)
{
    size_t begin = 0;
    batch->omitted = 0;
    buffer_clear(&batch->text);
    for (size_t i = 0; i < batch->count; i++) {
        enum err e = render_line(batch, i, line_max);
        if (e != OK && i > 0) { /* as many as fit; the others come with the next read */
            batch->count = i;
            batch->position = batch->entries[i - 1].position;
            batch->has_more = true;
            break;
        }
        if (e != OK) {
            return err_set(why, e, "no memory for the record at position %llu",
                           (unsigned long long)batch->entries[i].position);
        }
        batch->ends[i] = buffer_size(&batch->text);
    }
    for (size_t i = 0; i < batch->count; i++) {
        batch->lines[i] = (struct export_line){
            .text = bytes_of(buffer_bytes(&batch->text).data + begin, batch->ends[i] - begin),
            .entry = &batch->entries[i]};
        begin = batch->ends[i];
    }
    return OK;
}

bool export_batch_omit(struct export_batch *batch, size_t line)
{
    if (line >= batch->count || batch->is_refused[line]) {
        return false;
    }
    batch->is_refused[line] = true;
    return true;
}

const struct export_line *export_batch_lines(const struct export_batch *batch)
{
    return batch->lines;
}

size_t export_batch_count(const struct export_batch *batch)
{
    return batch->count;
}

size_t export_batch_omitted(const struct export_batch *batch)
{
    return batch->omitted;
}

uint64_t export_batch_position(const struct export_batch *batch)
{
    return batch->position;
}

bool export_batch_has_more(const struct export_batch *batch)
{
    return batch->has_more;
}
