#include "controlplane/store/store.h"

#include <stdint.h>

#include "controlplane/blobs/blobs.h"
#include "controlplane/store/backend.h"
#include "controlplane/store/checks.h"
#include "controlplane/store/store_blobs.h"

void store_close(struct store *store)
{
    if (store != NULL) {
        struct blobs *blobs = store->blobs;
        store->backend->close(store);
        blobs_destroy(blobs);
    }
}

static bool document_is_valid(const struct store_document *d)
{
    return d->kind >= STORE_IDENTITY_PROVIDER && d->kind <= STORE_ROLE_MAPPING &&
           is_name(d->name) && d->json != NULL && strlen(d->json) <= STORE_DOCUMENT_SIZE_MAX;
}

enum err store_documents_replace(struct store *store, const struct store_document *documents,
                                 size_t count, int64_t now_ns, struct err_text *why)
{
    for (size_t i = 0; i < count; i++) {
        if (!document_is_valid(&documents[i])) {
            return err_set(why, ERR_INVALID, "document %zu has no valid kind, name or text", i + 1);
        }
    }
    return store->backend->documents_replace(store, documents, count, now_ns, why);
}

enum err store_document_put(struct store *store, const struct store_document *document,
                            int64_t now_ns)
{
    return document_is_valid(document) ? store->backend->document_put(store, document, now_ns)
                                       : ERR_INVALID;
}

enum err store_document_get(struct store *store, enum store_document_kind kind, const char *name,
                            struct arena *arena, struct store_document *out)
{
    return is_name(name) ? store->backend->document_get(store, kind, name, arena, out)
                         : ERR_NOT_FOUND;
}

enum err store_document_list(struct store *store, enum store_document_kind kind,
                             struct arena *arena, struct store_document **out_items,
                             size_t *out_count)
{
    return store->backend->document_list(store, kind, arena, out_items, out_count);
}

enum err store_secret_put(struct store *store, const char *name, struct bytes sealed,
                          int64_t now_ns)
{
    if (!is_name(name) || sealed.size > STORE_DOCUMENT_SIZE_MAX) {
        return ERR_INVALID;
    }
    return store->backend->secret_put(store, name, sealed, now_ns);
}

enum err store_secret_get(struct store *store, const char *name, struct arena *arena,
                          struct store_secret *out)
{
    return is_name(name) ? store->backend->secret_get(store, name, arena, out) : ERR_NOT_FOUND;
}

enum err store_secret_list(struct store *store, struct arena *arena,
                           struct store_secret **out_items, size_t *out_count)
{
    return store->backend->secret_list(store, arena, out_items, out_count);
}

enum err store_secret_delete(struct store *store, const char *name)
{
    return is_name(name) ? store->backend->secret_delete(store, name) : ERR_NOT_FOUND;
}

enum err store_sidecar_add(struct store *store, const struct store_sidecar *sidecar)
{
    if (!is_name(sidecar->id) || !is_storable(sidecar->policy_revision)) {
        return ERR_INVALID;
    }
    return store->backend->sidecar_add(store, sidecar);
}

enum err store_sidecar_renew(struct store *store, const char *id, const char *certificate_serial,
                             int64_t not_after_ns, const char *name, const char *version)
{
    if (!is_name(id) || !is_name(certificate_serial)) {
        return ERR_INVALID;
    }
    return store->backend->sidecar_renew(store, id, certificate_serial, not_after_ns, name,
                                         version);
}

enum err store_sidecar_news(struct store *store, const struct store_sidecar_news *news,
                            size_t count)
{
    if (count == 0 || count > STORE_BATCH_MAX) {
        return ERR_INVALID;
    }
    for (size_t i = 0; i < count; i++) {
        if (!is_name(news[i].sidecar) || !is_storable(news[i].policy_revision) ||
            (news[i].policy_state != NULL &&
             strlen(news[i].policy_state) > STORE_DOCUMENT_SIZE_MAX)) {
            return ERR_INVALID;
        }
    }
    return store->backend->sidecar_news(store, news, count);
}

enum err store_sidecar_get(struct store *store, const char *id, struct arena *arena,
                           struct store_sidecar *out)
{
    return is_name(id) ? store->backend->sidecar_get(store, id, arena, out) : ERR_NOT_FOUND;
}

enum err store_sidecar_list(struct store *store, struct arena *arena,
                            struct store_sidecar **out_items, size_t *out_count)
{
    return store->backend->sidecar_list(store, arena, out_items, out_count);
}

enum err store_sidecar_revoke(struct store *store, const struct store_revocation *revocation)
{
    if (!is_name(revocation->sidecar) || !is_name(revocation->by) || revocation->now_ns <= 0 ||
        revocation->reason == NULL || strlen(revocation->reason) > STORE_DOCUMENT_SIZE_MAX ||
        !is_storable(revocation->last_sequence)) {
        return ERR_INVALID;
    }
    return store->backend->sidecar_revoke(store, revocation);
}

enum err store_sidecar_find_revoked(struct store *store, const uint8_t key_hash[STORE_HASH_SIZE],
                                    struct arena *arena, struct store_sidecar *out)
{
    return store->backend->sidecar_find_revoked(store, key_hash, arena, out);
}

enum err store_join_token_add(struct store *store, const struct store_join_token *token)
{
    return store->backend->join_token_add(store, token);
}

enum err store_join_token_use(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                              int64_t now_ns, struct arena *arena, struct store_join_token *out)
{
    return store->backend->join_token_use(store, hash, now_ns, arena, out);
}

enum err store_policy_add(struct store *store, const struct store_policy *policy)
{
    if (policy->revision == 0 || !is_storable(policy->revision) || !is_name(policy->hash) ||
        policy->document.size > STORE_DOCUMENT_SIZE_MAX) {
        return ERR_INVALID;
    }
    return store->backend->policy_add(store, policy);
}

enum err store_policy_latest(struct store *store, struct arena *arena, struct store_policy *out)
{
    return store->backend->policy_get(store, 0, arena, out);
}

enum err store_policy_get(struct store *store, uint64_t revision, struct arena *arena,
                          struct store_policy *out)
{
    if (revision == 0 || !is_storable(revision)) {
        return ERR_NOT_FOUND;
    }
    return store->backend->policy_get(store, revision, arena, out);
}

static bool record_is_valid(const struct store_audit_record *r)
{
    return r->sequence > 0 && is_storable(r->sequence) &&
           r->index.session.size <= STORE_SESSION_SIZE_MAX &&
           r->index.kind >= STORE_SESSION_OPENED && r->index.kind <= STORE_MESSAGE;
}

enum err store_audit_append(struct store *store, const char *sidecar,
                            const struct store_audit_record *records, size_t count,
                            int64_t received_ns, struct store_audit_appended *out,
                            uint64_t *out_refused, struct err_text *why)
{
    if (!is_name(sidecar) || count > STORE_BATCH_MAX || received_ns <= 0) {
        return err_set(why, ERR_INVALID, "no sidecar, no time, or more than %d records",
                       STORE_BATCH_MAX);
    }
    for (size_t i = 0; i < count; i++) {
        if (!record_is_valid(&records[i])) {
            return err_set(why, ERR_INVALID, "record %zu of the batch has a wrong number", i + 1);
        }
    }
    return store_blobs_append(store, sidecar, records, count, received_ns, out, out_refused, why);
}

enum err store_audit_last(struct store *store, const char *sidecar, struct store_audit_last *out)
{
    return is_name(sidecar) ? store->backend->audit_last(store, sidecar, out) : ERR_INVALID;
}

enum err store_audit_count(struct store *store, uint64_t *out)
{
    return store->backend->audit_count(store, out);
}

enum err store_audit_nth_newest(struct store *store, const struct store_audit_filter *filter,
                                uint64_t n, int64_t *out_key, struct err_text *why)
{
    if (n == 0) {
        return err_set(why, ERR_INVALID, "there is no record number 0");
    }
    return store->backend->audit_nth_newest(store, filter, n, out_key, why);
}

enum err store_audit_page(struct store *store, const struct store_audit_filter *filter,
                          int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                          struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                          struct err_text *why)
{
    if (max == 0 || max > STORE_SEARCH_PAGE_MAX) {
        return err_set(why, ERR_INVALID, "a page has 1 to %d records", STORE_SEARCH_PAGE_MAX);
    }
    size_t count = 0, fitting = 0;
    enum err err = store->backend->audit_page(store, filter, from_key, max, max_bytes, arena,
                                              out_items, &count, out_more, why);
    fitting = count;
    if (err == OK) {
        err = store_blobs_resolve(store, *out_items, &fitting, max_bytes, arena, why);
    }
    if (err == OK) {
        *out_count = fitting;
        *out_more = *out_more || fitting < count;
    }
    return err;
}

enum err store_audit_follow(struct store *store, const struct store_audit_filter *filter,
                            uint64_t after_position, size_t max, size_t max_bytes,
                            struct arena *arena, struct store_audit_entry **out_items,
                            size_t *out_count, uint64_t *out_position, bool *out_more,
                            struct err_text *why)
{
    if (max == 0 || max > STORE_SEARCH_PAGE_MAX || after_position > INT64_MAX / 2) {
        return err_set(why, ERR_INVALID, "a page has 1 to %d records", STORE_SEARCH_PAGE_MAX);
    }
    size_t count = 0, fitting = 0;
    enum err err =
        store->backend->audit_follow(store, filter, after_position, max, max_bytes, arena,
                                     out_items, &count, out_position, out_more, why);
    fitting = count;
    if (err == OK) {
        err = store_blobs_resolve(store, *out_items, &fitting, max_bytes, arena, why);
    }
    if (err == OK && fitting < count) {
        *out_position = (*out_items)[fitting - 1].position;
        *out_more = true;
    }
    if (err == OK) {
        *out_count = fitting;
    }
    return err;
}

enum err store_session_list(struct store *store, bool include_closed, size_t limit,
                            struct arena *arena, struct store_session **out_items,
                            size_t *out_count)
{
    return store->backend->session_list(store, include_closed, limit, arena, out_items, out_count);
}

enum err store_session_count_open(struct store *store, struct arena *arena,
                                  struct store_open_sessions **out_items, size_t *out_count)
{
    return store->backend->session_count_open(store, arena, out_items, out_count);
}

enum err store_session_list_open(struct store *store, const char *sidecar, size_t limit,
                                 struct arena *arena, const char ***out_ids, size_t *out_count)
{
    return store->backend->session_list_open(store, sidecar, limit, arena, out_ids, out_count);
}

enum err store_session_get(struct store *store, const char *session, struct arena *arena,
                           struct store_session *out)
{
    return is_name(session) ? store->backend->session_get(store, session, arena, out)
                            : ERR_NOT_FOUND;
}
