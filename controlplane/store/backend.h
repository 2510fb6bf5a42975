/* What a backend of the store implements: the functions of store.h, whose arguments store.c has
 * checked before (names not NULL and of a sane size, counts within their caps). */
#ifndef CHAPERONE_CONTROLPLANE_STORE_BACKEND_H
#define CHAPERONE_CONTROLPLANE_STORE_BACKEND_H

#include "controlplane/store/store.h"

/* The first member of every backend's own struct. */
struct store {
    const struct store_backend *backend; /* borrows: static */
    struct blobs *blobs;                 /* owned; NULL: everything is in the backend */
    size_t blob_threshold;
};

struct store_backend {
    void (*close)(struct store *store);

    enum err (*documents_replace)(struct store *store, const struct store_document *documents,
                                  size_t count, int64_t now_ns, struct err_text *why);
    enum err (*document_put)(struct store *store, const struct store_document *document,
                             int64_t now_ns);
    enum err (*document_get)(struct store *store, enum store_document_kind kind, const char *name,
                             struct arena *arena, struct store_document *out);
    enum err (*document_list)(struct store *store, enum store_document_kind kind,
                              struct arena *arena, struct store_document **out_items,
                              size_t *out_count);

    enum err (*secret_put)(struct store *store, const char *name, struct bytes sealed,
                           int64_t now_ns);
    enum err (*secret_get)(struct store *store, const char *name, struct arena *arena,
                           struct store_secret *out);
    enum err (*secret_list)(struct store *store, struct arena *arena,
                            struct store_secret **out_items, size_t *out_count);
    enum err (*secret_delete)(struct store *store, const char *name);

    enum err (*sidecar_add)(struct store *store, const struct store_sidecar *sidecar);
    enum err (*sidecar_renew)(struct store *store, const char *id, const char *certificate_serial,
                              int64_t not_after_ns, const char *name, const char *version);
    enum err (*sidecar_news)(struct store *store, const struct store_sidecar_news *news,
                             size_t count);
    enum err (*sidecar_get)(struct store *store, const char *id, struct arena *arena,
                            struct store_sidecar *out);
    enum err (*sidecar_list)(struct store *store, struct arena *arena,
                             struct store_sidecar **out_items, size_t *out_count);
    enum err (*sidecar_revoke)(struct store *store, const struct store_revocation *revocation);
    enum err (*sidecar_find_revoked)(struct store *store, const uint8_t key_hash[STORE_HASH_SIZE],
                                     struct arena *arena, struct store_sidecar *out);

    enum err (*join_token_add)(struct store *store, const struct store_join_token *token);
    enum err (*join_token_use)(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                               int64_t now_ns, struct arena *arena, struct store_join_token *out);

    enum err (*policy_add)(struct store *store, const struct store_policy *policy);
    /* Revision 0: the newest. */
    enum err (*policy_get)(struct store *store, uint64_t revision, struct arena *arena,
                           struct store_policy *out);

    enum err (*audit_append)(struct store *store, const char *sidecar,
                             const struct store_audit_record *records, size_t count,
                             int64_t received_ns, struct store_audit_appended *out,
                             uint64_t *out_refused, struct err_text *why);
    enum err (*audit_last)(struct store *store, const char *sidecar, struct store_audit_last *out);
    enum err (*audit_count)(struct store *store, uint64_t *out);
    enum err (*audit_nth_newest)(struct store *store, const struct store_audit_filter *filter,
                                 uint64_t n, int64_t *out_key, struct err_text *why);
    enum err (*audit_page)(struct store *store, const struct store_audit_filter *filter,
                           int64_t from_key, size_t max, size_t max_bytes, struct arena *arena,
                           struct store_audit_entry **out_items, size_t *out_count, bool *out_more,
                           struct err_text *why);

    enum err (*audit_follow)(struct store *store, const struct store_audit_filter *filter,
                             uint64_t after_position, size_t max, size_t max_bytes,
                             struct arena *arena, struct store_audit_entry **out_items,
                             size_t *out_count, uint64_t *out_position, bool *out_more,
                             struct err_text *why);

    enum err (*audit_at)(struct store *store, uint64_t position, struct arena *arena,
                         struct store_audit_entry *out);

    enum err (*log_read)(struct store *store, uint64_t after, size_t max,
                         uint8_t (*out)[STORE_HASH_SIZE], size_t *out_count);
    enum err (*checkpoint_add)(struct store *store, const struct store_checkpoint *checkpoint);
    enum err (*checkpoint_set_note)(struct store *store, uint64_t size, struct bytes note);
    enum err (*checkpoint_from)(struct store *store, uint64_t size, struct arena *arena,
                                struct store_checkpoint *out);
    enum err (*checkpoint_latest)(struct store *store, struct arena *arena,
                                  struct store_checkpoint *out);

    enum err (*duty_hold)(struct store *store, enum store_duty duty, bool *out_has);
    enum err (*news_listen)(struct store *store, store_news_fn *on_news, void *context);

    enum err (*cursor_get)(struct store *store, const char *name, uint64_t *out);
    enum err (*cursor_set)(struct store *store, const char *name, uint64_t position,
                           int64_t now_ns);

    enum err (*issuer_key_seen)(struct store *store, const char *issuer, const char *key_id,
                                const char *jwk, int64_t now_ns);
    enum err (*issuer_key_list)(struct store *store, struct arena *arena,
                                struct store_issuer_key **out_items, size_t *out_count);

    /* What is known of blobs. A new name waits for a row (audit_append takes it, and fails with
     * ERR_UNAVAILABLE where it does not wait any more); then it is in use, until its session is
     * erased. What is to be deleted stays known until forget. */
    enum err (*blob_add)(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE], size_t count,
                         int64_t now_ns);
    /* Those of them that wait are to be deleted. */
    enum err (*blob_drop)(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                          size_t count);
    /* Those that have waited since before `before_ns`, too; gives what is to be deleted. */
    enum err (*blob_claim)(struct store *store, int64_t before_ns, size_t max, struct arena *arena,
                           uint8_t (**out_names)[STORE_HASH_SIZE], size_t *out_count);
    enum err (*blob_forget)(struct store *store, const uint8_t (*names)[STORE_HASH_SIZE],
                            size_t count);

    enum err (*legal_hold_add)(struct store *store, const struct store_legal_hold *hold);
    enum err (*legal_hold_lift)(struct store *store, const char *id, const char *lifted_by,
                                int64_t now_ns);
    enum err (*legal_hold_list)(struct store *store, bool include_lifted, struct arena *arena,
                                struct store_legal_hold **out_items, size_t *out_count);
    enum err (*audit_erase)(struct store *store, const struct store_erase *what, int64_t now_ns,
                            struct arena *arena, const char ***out_sessions, size_t *out_count);
    enum err (*audit_resources)(struct store *store, struct arena *arena, const char ***out_names,
                                size_t *out_count);

    enum err (*approval_add)(struct store *store, const struct store_approval *approval,
                             const struct store_approval_limits *limits, const char *standing,
                             const struct store_audit_write *audit, uint64_t *out_cursor);
    enum err (*approval_change)(struct store *store, const struct store_approval_change *change,
                                uint64_t *out_cursor);
    enum err (*approval_get)(struct store *store, const char *id, struct arena *arena,
                             struct store_approval *out);
    enum err (*approval_used_by)(struct store *store, const char *request, struct arena *arena,
                                 struct store_approval *out);
    enum err (*approval_same)(struct store *store, const uint8_t digest[STORE_HASH_SIZE],
                              const char *issuer, const char *identity, const char *resource,
                              struct arena *arena, struct store_approval *out);
    enum err (*approval_answer)(struct store *store, const char *approval,
                                const struct store_decision *decision, struct arena *arena,
                                struct bytes *out);
    enum err (*approval_list)(struct store *store, const struct store_approval_filter *filter,
                              struct arena *arena, struct store_approval **out_items,
                              size_t *out_count);
    enum err (*approval_list_due)(struct store *store, int64_t now_ns, size_t max,
                                  struct arena *arena, struct store_approval **out_items,
                                  size_t *out_count);
    enum err (*approval_next_due)(struct store *store, int64_t *out_ns);
    enum err (*approval_events)(struct store *store, uint64_t after, size_t max, size_t max_bytes,
                                struct arena *arena, struct store_approval **out_items,
                                size_t *out_count);
    enum err (*approval_cursor)(struct store *store, uint64_t *out);
    enum err (*standing_find)(struct store *store, const uint8_t key[STORE_HASH_SIZE],
                              int64_t now_ns, struct arena *arena, struct store_standing *out);
    enum err (*standing_get)(struct store *store, const char *id, struct arena *arena,
                             struct store_standing_item *out);
    enum err (*standing_list)(struct store *store, const struct store_standing_filter *filter,
                              struct arena *arena, struct store_standing_item **out_items,
                              size_t *out_count);
    enum err (*standing_revoke)(struct store *store, const struct store_standing *standing,
                                const struct store_audit_write *audit);

    enum err (*link_code_add)(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                              const char *provider, const char *account, int64_t now_ns,
                              int64_t expires_ns);
    enum err (*link_confirm)(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                             const struct store_link *link, struct arena *arena,
                             struct store_link *out);
    enum err (*link_get)(struct store *store, const char *provider, const char *account,
                         struct arena *arena, struct store_link *out);
    enum err (*link_remove)(struct store *store, const char *provider, const char *account);

    enum err (*block_add)(struct store *store, const struct store_block *block);
    enum err (*block_lift)(struct store *store, const struct store_block_what *what,
                           const char *lifted_by, int64_t now_ns, struct arena *arena,
                           struct store_block **out_items, size_t *out_count);
    enum err (*block_list)(struct store *store, struct arena *arena, struct store_block **out_items,
                           size_t *out_count);

    enum err (*session_list)(struct store *store, bool include_closed, size_t limit,
                             struct arena *arena, struct store_session **out_items,
                             size_t *out_count);
    enum err (*session_count_open)(struct store *store, struct arena *arena,
                                   struct store_open_sessions **out_items, size_t *out_count);
    enum err (*session_list_open)(struct store *store, const char *sidecar, size_t limit,
                                  struct arena *arena, const char ***out_ids, size_t *out_count);
    enum err (*session_get)(struct store *store, const char *session, struct arena *arena,
                            struct store_session *out);
};

#endif
