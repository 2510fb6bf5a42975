/* Checks the arguments of what people decide, and hands them to the backend. */
#include "controlplane/store/backend.h"
#include "controlplane/store/checks.h"

/* Or "", or NULL. */
static bool is_optional_name(const char *name)
{
    return name == NULL || name[0] == '\0' || is_name(name);
}

static bool approval_is_valid(const struct store_approval *a)
{
    return is_name(a->id) && is_name(a->sidecar) && is_optional_name(a->session) &&
           is_optional_name(a->issuer) && is_name(a->identity) && is_name(a->resource) &&
           is_optional_name(a->used_by) && a->state >= STORE_APPROVAL_WAITING &&
           a->state <= STORE_APPROVAL_USED && a->version > 0 && is_storable(a->version) &&
           is_storable(a->standing_votes) && is_storable(a->standing_uses) &&
           a->held.size <= STORE_HELD_SIZE_MAX;
}

enum err store_approval_add(struct store *store, const struct store_approval *approval,
                            const struct store_approval_limits *limits, const char *standing,
                            const struct store_audit_write *audit, uint64_t *out_cursor)
{
    if (!approval_is_valid(approval) || approval->version != 1 ||
        limits->waiting_max >= INT64_MAX || limits->session_max >= INT64_MAX ||
        (standing != NULL && !is_name(standing))) {
        return ERR_INVALID;
    }
    return store->backend->approval_add(store, approval, limits, standing, audit, out_cursor);
}

enum err store_approval_change(struct store *store, const struct store_approval_change *change,
                               uint64_t *out_cursor)
{
    const struct store_decision *d = change->decision;
    const struct store_standing *s = change->standing;
    if (!approval_is_valid(change->approval) || change->approval->version < 2 ||
        (d != NULL &&
         (!is_name(d->subject) || !is_optional_name(d->issuer) || !is_optional_name(d->key))) ||
        (s != NULL && (!is_name(s->id) || !is_storable(s->uses_max)))) {
        return ERR_INVALID;
    }
    return store->backend->approval_change(store, change, out_cursor);
}

enum err store_approval_get(struct store *store, const char *id, struct arena *arena,
                            struct store_approval *out)
{
    return is_name(id) ? store->backend->approval_get(store, id, arena, out) : ERR_NOT_FOUND;
}

enum err store_approval_used_by(struct store *store, const char *request, struct arena *arena,
                                struct store_approval *out)
{
    return is_name(request) ? store->backend->approval_used_by(store, request, arena, out)
                            : ERR_NOT_FOUND;
}

enum err store_approval_same(struct store *store, const uint8_t digest[STORE_HASH_SIZE],
                             const char *issuer, const char *identity, const char *resource,
                             struct arena *arena, struct store_approval *out)
{
    return store->backend->approval_same(store, digest, issuer, identity, resource, arena, out);
}

enum err store_approval_answer(struct store *store, const char *approval,
                               const struct store_decision *decision, struct arena *arena,
                               struct bytes *out)
{
    return is_name(decision->key)
               ? store->backend->approval_answer(store, approval, decision, arena, out)
               : ERR_NOT_FOUND;
}

enum err store_approval_list(struct store *store, const struct store_approval_filter *filter,
                             struct arena *arena, struct store_approval **out_items,
                             size_t *out_count)
{
    if (filter->limit == 0 || filter->limit > STORE_BATCH_MAX) {
        return ERR_INVALID;
    }
    return store->backend->approval_list(store, filter, arena, out_items, out_count);
}

enum err store_approval_list_due(struct store *store, int64_t now_ns, size_t max,
                                 struct arena *arena, struct store_approval **out_items,
                                 size_t *out_count)
{
    if (max == 0 || max > STORE_BATCH_MAX) {
        return ERR_INVALID;
    }
    return store->backend->approval_list_due(store, now_ns, max, arena, out_items, out_count);
}

enum err store_approval_next_due(struct store *store, int64_t *out_ns)
{
    return store->backend->approval_next_due(store, out_ns);
}

enum err store_approval_events(struct store *store, uint64_t after, size_t max, size_t max_bytes,
                               struct arena *arena, struct store_approval **out_items,
                               size_t *out_count)
{
    if (max == 0 || max > STORE_BATCH_MAX || !is_storable(after)) {
        return ERR_INVALID;
    }
    return store->backend->approval_events(store, after, max, max_bytes, arena, out_items,
                                           out_count);
}

enum err store_approval_cursor(struct store *store, uint64_t *out)
{
    return store->backend->approval_cursor(store, out);
}

enum err store_standing_find(struct store *store, const uint8_t key[STORE_HASH_SIZE],
                             int64_t now_ns, struct arena *arena, struct store_standing *out)
{
    return store->backend->standing_find(store, key, now_ns, arena, out);
}

enum err store_standing_get(struct store *store, const char *id, struct arena *arena,
                            struct store_standing_item *out)
{
    return is_name(id) ? store->backend->standing_get(store, id, arena, out) : ERR_NOT_FOUND;
}

enum err store_standing_list(struct store *store, const struct store_standing_filter *filter,
                             struct arena *arena, struct store_standing_item **out_items,
                             size_t *out_count)
{
    if (filter->limit == 0 || filter->limit > STORE_BATCH_MAX ||
        !is_optional_name(filter->resource) || !is_optional_name(filter->identity) ||
        !is_optional_name(filter->before)) {
        return ERR_INVALID;
    }
    return store->backend->standing_list(store, filter, arena, out_items, out_count);
}

enum err store_standing_revoke(struct store *store, const struct store_standing *standing,
                               const struct store_audit_write *audit)
{
    if (!is_name(standing->id) || !is_name(standing->revoked_by) || standing->revoked_ns <= 0 ||
        (standing->revoked_because != NULL &&
         strlen(standing->revoked_because) > STORE_DOCUMENT_SIZE_MAX)) {
        return ERR_INVALID;
    }
    return store->backend->standing_revoke(store, standing, audit);
}

enum err store_link_code_add(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                             const char *provider, const char *account, int64_t now_ns,
                             int64_t expires_ns)
{
    return is_name(provider) && is_name(account)
               ? store->backend->link_code_add(store, hash, provider, account, now_ns, expires_ns)
               : ERR_INVALID;
}

enum err store_link_confirm(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                            const struct store_link *link, struct arena *arena,
                            struct store_link *out)
{
    if (!is_name(link->subject) || !is_optional_name(link->issuer) ||
        (link->groups != NULL && strlen(link->groups) > STORE_DOCUMENT_SIZE_MAX)) {
        return ERR_INVALID;
    }
    return store->backend->link_confirm(store, hash, link, arena, out);
}

enum err store_link_get(struct store *store, const char *provider, const char *account,
                        struct arena *arena, struct store_link *out)
{
    return is_name(provider) && is_name(account)
               ? store->backend->link_get(store, provider, account, arena, out)
               : ERR_NOT_FOUND;
}

enum err store_link_remove(struct store *store, const char *provider, const char *account)
{
    return is_name(provider) && is_name(account)
               ? store->backend->link_remove(store, provider, account)
               : ERR_NOT_FOUND;
}

enum err store_block_add(struct store *store, const struct store_block *block)
{
    if (!is_name(block->id) || !is_optional_name(block->identity) ||
        !is_optional_name(block->resource) || !is_optional_name(block->session) ||
        block->created_ns <= 0) {
        return ERR_INVALID;
    }
    return store->backend->block_add(store, block);
}

enum err store_block_lift(struct store *store, const struct store_block_what *what,
                          const char *lifted_by, int64_t now_ns, struct arena *arena,
                          struct store_block **out_items, size_t *out_count)
{
    if (!is_optional_name(what->id) || !is_optional_name(what->identity) ||
        !is_optional_name(what->resource) || now_ns <= 0) {
        return ERR_INVALID;
    }
    return store->backend->block_lift(store, what, lifted_by, now_ns, arena, out_items, out_count);
}

enum err store_block_list(struct store *store, struct arena *arena, struct store_block **out_items,
                          size_t *out_count)
{
    return store->backend->block_list(store, arena, out_items, out_count);
}
