/* Checks of arguments: the log, duties, cursors, keys of issuers, retention. */
#include "controlplane/store/backend.h"
#include "controlplane/store/checks.h"
#include "controlplane/store/store_blobs.h"

enum { SWEEP_MAX = 256 };

static bool is_text(const char *text)
{
    return text != NULL && strnlen(text, STORE_DOCUMENT_SIZE_MAX + 1) <= STORE_DOCUMENT_SIZE_MAX;
}

enum err store_audit_at(struct store *store, uint64_t position, struct arena *arena,
                        struct store_audit_entry *out)
{
    struct store_audit_entry entry;
    size_t one = 1;
    if (position == 0 || !is_storable(position)) {
        return ERR_NOT_FOUND;
    }
    enum err err = store->backend->audit_at(store, position, arena, &entry);
    if (err == OK) {
        err = store_blobs_resolve(store, &entry, &one, SIZE_MAX, arena, NULL);
    }
    if (err == OK) {
        *out = entry;
    }
    return err;
}

enum err store_log_read(struct store *store, uint64_t after, size_t max,
                        uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count)
{
    return is_storable(after) && max > 0
               ? store->backend->log_read(store, after, max, out, out_count)
               : ERR_INVALID;
}

enum err store_checkpoint_add(struct store *store, const struct store_checkpoint *checkpoint)
{
    bool is_valid = is_storable(checkpoint->size) && checkpoint->note.size > 0 &&
                    checkpoint->note.size <= STORE_DOCUMENT_SIZE_MAX;
    return is_valid ? store->backend->checkpoint_add(store, checkpoint) : ERR_INVALID;
}

enum err store_checkpoint_set_note(struct store *store, uint64_t size, struct bytes note)
{
    bool is_valid = is_storable(size) && note.size > 0 && note.size <= STORE_DOCUMENT_SIZE_MAX;
    return is_valid ? store->backend->checkpoint_set_note(store, size, note) : ERR_INVALID;
}

enum err store_checkpoint_from(struct store *store, uint64_t size, struct arena *arena,
                               struct store_checkpoint *out)
{
    return is_storable(size) ? store->backend->checkpoint_from(store, size, arena, out)
                             : ERR_NOT_FOUND;
}

enum err store_checkpoint_latest(struct store *store, struct arena *arena,
                                 struct store_checkpoint *out)
{
    return store->backend->checkpoint_latest(store, arena, out);
}

enum err store_duty_hold(struct store *store, enum store_duty duty, bool *out_has)
{
    return duty >= STORE_DUTY_LOG && duty <= STORE_DUTY_ERASE
               ? store->backend->duty_hold(store, duty, out_has)
               : ERR_INVALID;
}

enum err store_news_listen(struct store *store, store_news_fn *on_news, void *context)
{
    return store->backend->news_listen(store, on_news, context);
}

enum err store_cursor_get(struct store *store, const char *name, uint64_t *out)
{
    return is_name(name) ? store->backend->cursor_get(store, name, out) : ERR_NOT_FOUND;
}

enum err store_cursor_set(struct store *store, const char *name, uint64_t position, int64_t now_ns)
{
    return is_name(name) && is_storable(position)
               ? store->backend->cursor_set(store, name, position, now_ns)
               : ERR_INVALID;
}

enum err store_issuer_key_seen(struct store *store, const char *issuer, const char *key_id,
                               const char *jwk, int64_t now_ns)
{
    return is_name(issuer) && is_text(key_id) && is_text(jwk)
               ? store->backend->issuer_key_seen(store, issuer, key_id, jwk, now_ns)
               : ERR_INVALID;
}

enum err store_issuer_key_list(struct store *store, struct arena *arena,
                               struct store_issuer_key **out_items, size_t *out_count)
{
    return store->backend->issuer_key_list(store, arena, out_items, out_count);
}

enum err store_legal_hold_add(struct store *store, const struct store_legal_hold *hold)
{
    bool is_valid = is_name(hold->id) && is_text(hold->resource) && is_text(hold->identity) &&
                    is_text(hold->session) && is_text(hold->reason) && is_text(hold->created_by);
    int things = is_valid ? (hold->resource[0] != '\0') + (hold->identity[0] != '\0') +
                                (hold->session[0] != '\0')
                          : 0;
    return things == 1 ? store->backend->legal_hold_add(store, hold) : ERR_INVALID;
}

enum err store_legal_hold_lift(struct store *store, const char *id, const char *lifted_by,
                               int64_t now_ns)
{
    if (!is_text(lifted_by)) {
        return ERR_INVALID;
    }
    return is_name(id) ? store->backend->legal_hold_lift(store, id, lifted_by, now_ns)
                       : ERR_NOT_FOUND;
}

enum err store_legal_hold_list(struct store *store, bool include_lifted, struct arena *arena,
                               struct store_legal_hold **out_items, size_t *out_count)
{
    return store->backend->legal_hold_list(store, include_lifted, arena, out_items, out_count);
}

enum err store_audit_erase(struct store *store, const struct store_erase *what, int64_t now_ns,
                           struct arena *arena, const char ***out_sessions, size_t *out_count)
{
    size_t swept = SWEEP_MAX;
    if (!is_name(what->resource) || what->max == 0 || what->max > STORE_BATCH_MAX) {
        return ERR_INVALID;
    }
    enum err err = store->backend->audit_erase(store, what, now_ns, arena, out_sessions, out_count);
    /* Their blobs cannot be read any more, as their keys are gone. What cannot be deleted now, a
     * later sweep does. */
    while (err == OK && !what->is_preview && swept == SWEEP_MAX) {
        if (store_blobs_sweep(store, 0, SWEEP_MAX, &swept, NULL) != OK) {
            break;
        }
    }
    return err;
}

enum err store_audit_resources(struct store *store, struct arena *arena, const char ***out_names,
                               size_t *out_count)
{
    return store->backend->audit_resources(store, arena, out_names, out_count);
}
