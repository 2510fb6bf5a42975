#include "controlplane/evidence/export.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "controlplane/audit/search.h"
#include "controlplane/evidence/export_internal.h"

enum {
    PAGE_ARENA_BLOCK = 1 << 18,
    PAGE_ARENA_CAP = 512 << 20, /* as of a search */
    KEPT_ARENA_BLOCK = 16 << 10,
    KEPT_ARENA_CAP = 256 << 20, /* names of approvals and sidecars: some millions */
};

bool export_send(struct export *x, const Chaperone__V1__ExportPart *part)
{
    return x->with->on_part(x->with->context, part);
}

/* --- the entries -------------------------------------------------------------------------------
 */

typedef enum err page_fn(struct export *x, const struct store_audit_entry *items, size_t count);

/* Gives the entries that match to `on_page`, in time order, at most `most` at once. They are valid
 * until it returns. */
static enum err each_page(struct export *x, size_t most, page_fn *on_page)
{
    bool more = true;
    enum err e = OK;
    for (int64_t key = INT64_MIN; e == OK && more;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        arena_reset(x->page);
        e = store_audit_page(x->with->store, &x->filter, key, most, AUDIT_SEARCH_PAGE_BYTES,
                             x->page, &items, &count, &more, x->why);
        if (e == OK && count > 0) {
            key = items[count - 1].key + 1;
            e = on_page(x, items, count);
        }
    }
    return e;
}

static enum err count_page(struct export *x, const struct store_audit_entry *items, size_t count)
{
    (void)items;
    x->matching += count;
    return OK;
}

static enum err note_record(struct export *x, const Chaperone__V1__Record *r)
{
    char revision[24] = "";
    const char *approval = "";
    uint64_t named = 0;
    if (r->event_case == CHAPERONE__V1__RECORD__EVENT_SESSION_OPENED) {
        named = r->session_opened->policy_revision;
    } else if (r->event_case == CHAPERONE__V1__RECORD__EVENT_INTENT) {
        named = r->intent->policy_revision;
        approval = r->intent->approval;
    } else if (r->event_case == CHAPERONE__V1__RECORD__EVENT_APPROVAL) {
        approval = r->approval->id;
    }
    if (named != 0) {
        (void)snprintf(revision, sizeof(revision), "%" PRIu64, named);
    }
    enum err e = text_set_add(&x->policies, revision);
    return e == OK ? text_set_add(&x->approvals, approval) : e;
}

/* What an entry names goes along: who recorded it, which policy decided, what people approved. */
static enum err note_entry(struct export *x, const struct store_audit_entry *item)
{
    enum err e = text_set_add(&x->sidecars, item->sidecar);
    bool names_more = item->kind == STORE_SESSION_OPENED || item->kind == STORE_INTENT ||
                      item->kind == STORE_APPROVAL;
    if (e != OK || item->is_erased || !names_more) {
        return e;
    }
    Chaperone__V1__Record *r =
        chaperone__v1__record__unpack(NULL, item->canonical.size, item->canonical.data);
    if (r == NULL) {
        return OK; /* it goes along as it is; whoever checks it will say so */
    }
    e = note_record(x, r);
    chaperone__v1__record__free_unpacked(r, NULL);
    return e;
}

static enum err send_entries(struct export *x, const struct store_audit_entry *items, size_t count)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportEntries message = CHAPERONE__V1__EXPORT_ENTRIES__INIT;
    Chaperone__V1__Entry *entries = arena_alloc(x->page, count * sizeof(*entries));
    Chaperone__V1__Entry **list = arena_alloc(x->page, count * sizeof(Chaperone__V1__Entry *));
    if (entries == NULL || list == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        audit_search_entry(&items[i], &entries[i]);
        list[i] = &entries[i];
    }
    message.n_entries = count;
    message.entries = list;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_ENTRIES;
    part.entries = &message;
    return export_send(x, &part) ? OK : ERR_CLOSED;
}

static enum err send_page(struct export *x, const struct store_audit_entry *items, size_t count)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < count; i++) {
        tile_set_add(x->tiles, items[i].position - 1);
        e = note_entry(x, &items[i]);
    }
    x->sent += count;
    return e == OK ? send_entries(x, items, count) : e;
}

/* --- the frame ---------------------------------------------------------------------------------
 */

static enum err send_header(struct export *x, const Chaperone__V1__Checkpoint *checkpoint)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportHeader header = CHAPERONE__V1__EXPORT_HEADER__INIT;
    header.checkpoint = (Chaperone__V1__Checkpoint *)(uintptr_t)checkpoint;
    header.matching = x->matching;
    header.made_unix_ns = x->now_ns;
    header.made_by = export_text(x->with->made_by);
    header.version = export_text(x->with->version);
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_HEADER;
    part.header = &header;
    return export_send(x, &part) ? OK : ERR_CLOSED;
}

static enum err send_end(struct export *x)
{
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__ExportEnd end = CHAPERONE__V1__EXPORT_END__INIT;
    end.entries = x->sent;
    part.part_case = CHAPERONE__V1__EXPORT_PART__PART_END;
    part.end = &end;
    return export_send(x, &part) ? OK : ERR_CLOSED;
}

static enum err send_tile(void *context, const struct tlog_tile *tile)
{
    struct export *x = context;
    Chaperone__V1__ExportPart part = CHAPERONE__V1__EXPORT_PART__INIT;
    Chaperone__V1__Tile message = CHAPERONE__V1__TILE__INIT;
    struct buffer data;
    char path[TLOG_TILE_PATH_SIZE];
    buffer_init(&data, TLOG_TILE_BYTES);
    enum err e = tlog_tile_format_path(tile, path);
    e = e == OK ? x->with->log.tile(x->with->log.context, x->filter.position_max, tile, &data) : e;
    if (e == OK) {
        message.path = path;
        message.data.data = (uint8_t *)(uintptr_t)buffer_bytes(&data).data;
        message.data.len = buffer_size(&data);
        part.part_case = CHAPERONE__V1__EXPORT_PART__PART_TILE;
        part.tile = &message;
        e = export_send(x, &part) ? OK : ERR_CLOSED;
    } else {
        (void)err_set(x->why, e, "%s of the log cannot be read", path);
    }
    buffer_finish(&data);
    return e;
}

static enum err begin(struct export *x, struct arena *kept, Chaperone__V1__Checkpoint *checkpoint)
{
    uint64_t count = 0;
    enum err e = audit_search_filter(x->request->filter, &x->filter, x->why);
    e = e == OK ? store_audit_count(x->with->store, &count) : e;
    if (e == OK) {
        e = x->with->log.checkpoint(x->with->log.context, count, kept, checkpoint);
        if (e == ERR_NOT_FOUND) {
            (void)err_set(x->why, e, "the log has no checkpoint yet; try again");
        }
    }
    if (e == OK) {
        x->filter.position_max = checkpoint->size;
        e = tile_set_create(checkpoint->size, &x->tiles);
    }
    return e;
}

static enum err run(struct export *x, struct arena *kept)
{
    Chaperone__V1__Checkpoint checkpoint = CHAPERONE__V1__CHECKPOINT__INIT;
    enum err e = begin(x, kept, &checkpoint);
    e = e == OK ? each_page(x, STORE_SEARCH_PAGE_MAX, count_page) : e;
    e = e == OK ? send_header(x, &checkpoint) : e;
    e = e == OK ? each_page(x, AUDIT_SEARCH_PAGE, send_page) : e;
    if (e == OK && x->sent != x->matching) {
        /* Erasing changes what is found by words; the rest of a checkpoint does not change. */
        e = err_set(x->why, ERR_UNAVAILABLE, "what matches has changed meanwhile; try again");
    }
    if (e == OK && x->request->with_context) {
        e = export_send_context(x);
    }
    if (e == OK && x->request->with_proofs) {
        e = tile_set_each(x->tiles, send_tile, x);
    }
    return e == OK ? send_end(x) : e;
}

enum err export_run(const struct export_options *options,
                    const Chaperone__V1__ExportRequest *request, struct err_text *why)
{
    if (request->filter == NULL) {
        return err_set(why, ERR_INVALID, "a filter is needed, which may be empty");
    }
    struct arena *kept = arena_create(KEPT_ARENA_BLOCK, KEPT_ARENA_CAP);
    struct export x = {.with = options,
                       .request = request,
                       .why = why,
                       .now_ns = clock_wall(&options->clock),
                       .page = arena_create(PAGE_ARENA_BLOCK, PAGE_ARENA_CAP),
                       .approvals = {.arena = kept},
                       .policies = {.arena = kept},
                       .sidecars = {.arena = kept}};
    enum err e = kept == NULL || x.page == NULL ? ERR_NO_MEMORY : run(&x, kept);
    text_set_finish(&x.approvals);
    text_set_finish(&x.policies);
    text_set_finish(&x.sidecars);
    tile_set_destroy(x.tiles);
    arena_destroy(x.page);
    arena_destroy(kept);
    return e;
}
