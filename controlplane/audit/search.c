#include "controlplane/audit/search.h"

#include <string.h>

#include "controlplane/audit/record.h"

enum {
    PAGE_ARENA_BLOCK = 1 << 18,
    /* AUDIT_SEARCH_PAGE_BYTES, one record beyond it, and for each entry its names: an identity or a
     * chain of delegates may be as long as a record. Far more than any real page. */
    PAGE_ARENA_CAP = 512 << 20,
    TEXT_SIZE_MAX = 16 << 10,
};

/* ---- the question ---- */

static enum err kinds_read(const Chaperone__V1__SearchRequest *request, uint32_t *out,
                           struct err_text *why)
{
    uint32_t kinds = STORE_KINDS_ALL;
    for (size_t i = 0; i < request->n_kinds; i++) {
        enum store_audit_kind kind = STORE_INTENT;
        if (audit_kind_parse(request->kinds[i], &kind) != OK) {
            return err_set(why, ERR_INVALID,
                           "unknown kind \"%.64s\": expected session_opened, intent, approval,"
                           " outcome, session_closed, heartbeat, loss, action, finding"
                           " or message",
                           request->kinds[i]);
        }
        kinds |= store_kind_bit(kind);
    }
    *out = kinds;
    return OK;
}

enum err audit_search_filter(const Chaperone__V1__SearchRequest *request,
                             struct store_audit_filter *out, struct err_text *why)
{
    struct store_audit_filter filter = {
        .identity = request->identity,
        .resource = request->resource,
        .session = request->session,
        .since_ns = request->since_unix_ns,
        .until_ns = request->until_unix_ns,
        .text = request->text,
        .table = request->table,
        .verdict = (int)request->verdict,
    };
    if (filter.verdict < 0 || filter.verdict > CHAPERONE__V1__VERDICT__HOLD) {
        return err_set(why, ERR_INVALID, "unknown verdict %d: expected allow, deny or hold",
                       filter.verdict);
    }
    if (filter.until_ns != 0 && filter.since_ns > filter.until_ns) {
        return err_set(why, ERR_INVALID, "since is after until: no time is between them");
    }
    if (strlen(request->text) > TEXT_SIZE_MAX || strlen(request->table) > STORE_NAME_SIZE_MAX) {
        return err_set(why, ERR_INVALID, "the text or the table to search for is too long");
    }
    enum err err = kinds_read(request, &filter.kinds, why);
    if (err == OK) {
        *out = filter;
    }
    return err;
}

/* ---- the answer ---- */

/* Strings of an entry are borrowed from the store's arena: the message is packed, never freed. */
static char *borrowed(const char *text)
{
    union {
        const char *in;
        char *out;
    } u = {.in = text};
    return u.out;
}

static uint8_t *borrowed_bytes(struct bytes b)
{
    union {
        const uint8_t *in;
        uint8_t *out;
    } u = {.in = b.data};
    return u.out;
}

void audit_search_entry(const struct store_audit_entry *item, Chaperone__V1__Entry *out)
{
    chaperone__v1__entry__init(out);
    out->record.data = borrowed_bytes(item->canonical);
    out->record.len = item->canonical.size;
    out->identity = borrowed(item->identity);
    out->on_behalf_of = borrowed(item->on_behalf_of);
    out->resource = borrowed(item->resource);
    out->protocol = borrowed(item->protocol);
    out->received_unix_ns = item->received_ns;
    out->position = item->position;
    out->hash =
        (ProtobufCBinaryData){.data = (uint8_t *)(uintptr_t)item->hash, .len = STORE_HASH_SIZE};
    out->is_erased = item->is_erased;
    out->erased_unix_ns = item->erased_ns;
    out->sidecar = borrowed(item->sidecar);
    out->sequence = item->sequence;
    out->session = borrowed(item->session);
    out->kind = borrowed(audit_kind_word(item->kind));
    out->time_unix_ns = item->key;
}

static enum err deliver(const struct store_audit_entry *items, size_t count, struct arena *arena,
                        audit_entries_fn *on_entries, void *context, bool *out_stop)
{
    Chaperone__V1__SearchResponse response = CHAPERONE__V1__SEARCH_RESPONSE__INIT;
    Chaperone__V1__Entry *entries = arena_alloc(arena, count * sizeof(Chaperone__V1__Entry));
    Chaperone__V1__Entry **list = arena_alloc(arena, count * sizeof(Chaperone__V1__Entry *));
    if (entries == NULL || list == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        audit_search_entry(&items[i], &entries[i]);
        list[i] = &entries[i];
    }
    response.n_entries = count;
    response.entries = list;
    *out_stop = !on_entries(context, &response);
    return OK;
}

static enum err pages_deliver(struct store *store, const struct store_audit_filter *filter,
                              int64_t key, uint64_t limit, struct arena *arena,
                              audit_entries_fn *on_entries, void *context, struct err_text *why)
{
    enum err err = OK;
    bool more = true, stop = false;
    for (uint64_t left = limit == 0 ? UINT64_MAX : limit; err == OK && more && !stop && left > 0;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        size_t max = left < AUDIT_SEARCH_PAGE ? (size_t)left : AUDIT_SEARCH_PAGE;
        arena_reset(arena);
        err = store_audit_page(store, filter, key, max, AUDIT_SEARCH_PAGE_BYTES, arena, &items,
                               &count, &more, why);
        if (err == OK && count > 0) {
            key = items[count - 1].key + 1;
            left -= count;
            err = deliver(items, count, arena, on_entries, context, &stop);
        }
    }
    return err;
}

/* Where the newest `limit` begin; they are then read forwards, in pages, in any number.
 * ERR_NOT_FOUND: nothing matches. */
static enum err start_find(struct store *store, struct store_audit_filter *filter, uint64_t limit,
                           int64_t *out_key, struct err_text *why)
{
    if (filter->position_max == 0) {
        /* The log is empty: nothing is found, but the question is checked as always. */
        enum err err = store_audit_nth_newest(store, filter, 1, out_key, why);
        return err == OK ? ERR_NOT_FOUND : err;
    }
    return limit == 0 ? OK : store_audit_nth_newest(store, filter, limit, out_key, why);
}

enum err audit_search_run_to(struct store *store, const Chaperone__V1__SearchRequest *request,
                             uint64_t position, audit_entries_fn *on_entries, void *context,
                             struct err_text *why)
{
    struct store_audit_filter filter;
    int64_t key = INT64_MIN;
    enum err err = audit_search_filter(request, &filter, why);
    if (err != OK) {
        return err;
    }
    /* 0 would be: any. Of an empty log the store still has to judge the question. */
    filter.position_max = position == 0 ? 1 : position;
    struct arena *arena = arena_create(PAGE_ARENA_BLOCK, PAGE_ARENA_CAP);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    err = start_find(store, &filter, request->limit, &key, why);
    if (err == OK) {
        err = pages_deliver(store, &filter, key, request->limit, arena, on_entries, context, why);
    }
    arena_destroy(arena);
    return err == ERR_NOT_FOUND ? OK : err;
}

enum err audit_search_run(struct store *store, const Chaperone__V1__SearchRequest *request,
                          audit_entries_fn *on_entries, void *context, uint64_t *out_position,
                          struct err_text *why)
{
    uint64_t position = 0;
    enum err err = store_audit_count(store, &position);
    if (err == OK) {
        err = audit_search_run_to(store, request, position, on_entries, context, why);
    }
    if (err == OK && out_position != NULL) {
        *out_position = position;
    }
    return err;
}

enum err audit_search_follow(struct store *store, const Chaperone__V1__SearchRequest *request,
                             audit_entries_fn *on_entries, void *context, uint64_t *position,
                             struct err_text *why)
{
    struct store_audit_filter filter;
    bool more = true, stop = false;
    enum err err = audit_search_filter(request, &filter, why);
    if (err != OK) {
        return err;
    }
    struct arena *arena = arena_create(PAGE_ARENA_BLOCK, PAGE_ARENA_CAP);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    while (err == OK && more && !stop) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        uint64_t next = *position;
        arena_reset(arena);
        err = store_audit_follow(store, &filter, *position, AUDIT_SEARCH_PAGE,
                                 AUDIT_SEARCH_PAGE_BYTES, arena, &items, &count, &next, &more, why);
        if (err == OK && count > 0) {
            err = deliver(items, count, arena, on_entries, context, &stop);
        }
        if (err == OK) {
            *position = next;
        }
    }
    arena_destroy(arena);
    return err;
}

/* ---- sessions ---- */

static void summary_make(const struct store_session *s, Chaperone__V1__SessionSummary *out)
{
    chaperone__v1__session_summary__init(out);
    out->session = borrowed(s->session);
    out->sidecar = borrowed(s->sidecar);
    out->identity = borrowed(s->identity);
    out->on_behalf_of = borrowed(s->on_behalf_of);
    out->resource = borrowed(s->resource);
    out->protocol = borrowed(s->protocol);
    out->database = borrowed(s->database);
    out->agent_address = borrowed(s->agent_address);
    out->opened_unix_ns = s->opened_ns;
    out->closed_unix_ns = s->closed_ns;
    out->operations = s->operations;
    out->state = borrowed(s->state);
    out->close_reason = borrowed(s->close_reason);
}

enum err audit_sessions_list(struct store *store, const Chaperone__V1__ListSessionsRequest *request,
                             struct arena *arena, Chaperone__V1__SessionSummary ***out_items,
                             size_t *out_count)
{
    struct store_session *sessions = NULL;
    size_t count = 0;
    enum err err = store_session_list(store, request->include_closed, request->limit, arena,
                                      &sessions, &count);
    if (err != OK) {
        return err;
    }
    Chaperone__V1__SessionSummary *summaries =
        arena_alloc(arena, (count + 1) * sizeof(Chaperone__V1__SessionSummary));
    Chaperone__V1__SessionSummary **list =
        arena_alloc(arena, (count + 1) * sizeof(Chaperone__V1__SessionSummary *));
    if (summaries == NULL || list == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < count; i++) {
        summary_make(&sessions[i], &summaries[i]);
        list[i] = &summaries[i];
    }
    *out_items = list;
    *out_count = count;
    return OK;
}
