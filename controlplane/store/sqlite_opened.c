#include "controlplane/store/sqlite_opened.h"

/* One record of any size, in the row, decrypted and unpacked. */
static const size_t arena_cap = 4 * (size_t)SECTION_UNPACKED_MAX;

void opened_init(struct opened_cache *cache, struct db *db)
{
    *cache = (struct opened_cache){0};
    section_reader_init(&cache->reader, db);
}

void opened_finish(struct opened_cache *cache)
{
    for (size_t i = 0; i < OPENED_COUNT; i++) {
        arena_destroy(cache->items[i].arena);
    }
    arena_destroy(cache->once);
    section_reader_finish(&cache->reader);
}

static void item_clear(struct opened *item)
{
    struct arena *arena = item->arena;
    arena_reset(arena);
    *item = (struct opened){.arena = arena};
}

static struct opened *oldest_find(struct opened_cache *cache, bool is_full)
{
    struct opened *oldest = NULL;
    for (size_t i = 0; i < OPENED_COUNT; i++) {
        struct opened *item = &cache->items[i];
        bool is_one = !is_full || (item->arena != NULL && arena_used(item->arena) > 0);
        if (is_one && (oldest == NULL || item->used < oldest->used)) {
            oldest = item;
        }
    }
    return oldest;
}

/* A free place, or that of what was used longest ago; and so much more goes as is too much. */
static struct opened *place_find(struct opened_cache *cache)
{
    size_t bytes = 0;
    for (size_t i = 0; i < OPENED_COUNT; i++) {
        bytes += cache->items[i].arena == NULL ? 0 : arena_used(cache->items[i].arena);
    }
    while (bytes > OPENED_BYTES_MAX) {
        struct opened *item = oldest_find(cache, true);
        bytes -= arena_used(item->arena);
        item_clear(item);
    }
    struct opened *place = oldest_find(cache, false);
    if (place->arena == NULL) {
        place->arena = arena_create(OPENED_BLOCK_SIZE, arena_cap);
    }
    if (place->arena == NULL) {
        return NULL;
    }
    item_clear(place);
    return place;
}

enum err opened_get(struct opened_cache *cache, int64_t key, struct opened **out)
{
    for (size_t i = 0; i < OPENED_COUNT; i++) {
        struct opened *item = &cache->items[i];
        if (item->is_there && item->row.key == key) {
            item->used = ++cache->clock;
            *out = item;
            return OK;
        }
    }
    struct opened *item = place_find(cache);
    if (item == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err err = section_read_head(&cache->reader, key, item->arena, &item->row);
    if (err == ERR_DENIED) {
        cache->damaged = item->row.position;
    }
    if (err != OK) {
        return err;
    }
    item->is_there = true;
    item->used = ++cache->clock;
    *out = item;
    return OK;
}

void opened_release(struct opened *section)
{
    section->used = 0;
}

static enum err contents_read(struct opened_cache *cache, struct opened *section,
                              struct arena *arena)
{
    struct section_row *row = &section->row;
    enum err err = section_read_rest(&cache->reader, arena, row);
    if (err == OK) {
        err = section_open(&cache->reader, row, arena, &section->contents);
    }
    if (err == ERR_DENIED) {
        /* A place that is not in the batch says nothing. */
        cache->damaged = row->position + (row->is_whole ? row->records[0].at : 0);
    }
    return err;
}

enum err opened_open(struct opened_cache *cache, struct opened *section)
{
    return section->contents != NULL ? OK : contents_read(cache, section, section->arena);
}

/* Where it is looked into once, its contents take the place of the last one's: memory that is
 * touched for the first time costs more than reading them. */
static enum err opened_open_once(struct opened_cache *cache, struct opened *section)
{
    if (section->contents != NULL) {
        return OK;
    }
    if (cache->once == NULL) {
        cache->once = arena_create(OPENED_BLOCK_SIZE, arena_cap);
    }
    if (cache->once == NULL) {
        return ERR_NO_MEMORY;
    }
    arena_reset(cache->once);
    return contents_read(cache, section, cache->once);
}

/* ---- an entry -------------------------------------------------------------------------------- */

static enum err names_read(struct db *db, const struct section_row *row, struct arena *arena,
                           struct opened_names *out)
{
    sqlite3_stmt *get = NULL;
    bool is_row = false, failed = false;
    enum err err = db_statement(db,
                                "SELECT (SELECT sidecar FROM audit_stream WHERE id = ?1),"
                                " (SELECT name FROM audit_name WHERE id = ?2),"
                                " (SELECT name FROM audit_name WHERE id = ?3),"
                                " (SELECT session FROM audit_session WHERE id = ?4),"
                                " (SELECT on_behalf_of FROM audit_session WHERE id = ?4),"
                                " (SELECT protocol FROM audit_session WHERE id = ?4),"
                                " (SELECT erased_ns FROM audit_session WHERE id = ?4)",
                                &get);
    if (err == OK) {
        db_bind_number(get, 1, row->stream);
        db_bind_number(get, 2, row->identity);
        db_bind_number(get, 3, row->resource);
        db_bind_number(get, 4, row->session);
        err = db_step(db, get, &is_row);
    }
    if (err != OK) {
        return err;
    }
    *out = (struct opened_names){
        .sidecar = db_column_string(get, 0, arena, &failed),
        .identity = db_column_string(get, 1, arena, &failed),
        .resource = db_column_string(get, 2, arena, &failed),
        .session = db_column_string(get, 3, arena, &failed),
        .on_behalf_of = db_column_string(get, 4, arena, &failed),
        .protocol = db_column_string(get, 5, arena, &failed),
        .erased_ns = sqlite3_column_int64(get, 6),
    };
    (void)sqlite3_reset(get);
    return failed ? ERR_NO_MEMORY : OK;
}

static enum err entry_fill(struct opened_cache *cache, struct opened *section, size_t n,
                           struct arena *arena, struct store_audit_entry *out)
{
    const struct section_row *row = &section->row;
    const struct section_record *record = &row->records[n];
    const bool is_erased = row->form == SQLITE_FORM_ERASED;
    struct bytes canonical = {0};
    enum err err = OK;
    if (!section->is_named) {
        err = names_read(cache->reader.db, row, arena, &section->names);
        section->is_named = err == OK;
    }
    if (err == OK && !is_erased) {
        err = arena_copy_bytes(arena, section->contents[n].canonical, &canonical);
    }
    if (err != OK) {
        return err;
    }
    *out = (struct store_audit_entry){
        .key = record->key,
        .position = (uint64_t)(row->position + record->at),
        .received_ns = row->received_ns,
        .sidecar = section->names.sidecar,
        .sequence = (uint64_t)(row->sequence + record->at),
        .canonical = canonical,
        .is_erased = is_erased,
        .is_in_blob = record->is_in_blob && !is_erased,
        .erased_ns = is_erased ? section->names.erased_ns : 0,
        .kind = record->kind,
        .session = section->names.session,
        .identity = section->names.identity,
        .on_behalf_of = section->names.on_behalf_of,
        .resource = section->names.resource,
        .protocol = section->names.protocol,
    };
    memcpy(out->hash, row->hashes[n], STORE_HASH_SIZE);
    return OK;
}

enum err opened_entry(struct opened_cache *cache, struct opened *section, size_t n, bool is_last,
                      struct arena *arena, struct store_audit_entry *out)
{
    const struct section_row *row = &section->row;
    enum err err = is_last ? opened_open_once(cache, section) : opened_open(cache, section);
    if (err == ERR_DENIED && row->is_whole) {
        cache->damaged = row->position + row->records[n].at;
    }
    if (err == OK) {
        err = entry_fill(cache, section, n, arena, out);
    }
    if (is_last) {
        section->is_there = false;
        opened_release(section);
    }
    return err;
}
