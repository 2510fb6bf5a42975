/* Whether a record is the next one of its stream, or one that is there already. */
#include "controlplane/store/sqlite_append_internal.h"

static enum err refuse(struct append *a, const struct store_audit_record *r, enum err err,
                       const char *what)
{
    a->refused = r->sequence;
    return err_set(a->why, err, "record %llu: %s", (unsigned long long)r->sequence, what);
}

enum err sqlite_append_refuse_revoked(struct append *a, const struct store_audit_record *r)
{
    return refuse(a, r, ERR_DENIED, "the sidecar was revoked, its stream has ended");
}

static enum err refuse_rewritten(struct append *a, const struct store_audit_record *r)
{
    return refuse(a, r, ERR_EXISTS,
                  "another record is known under this sequence: the stream was rewritten");
}

static enum err staged_check(struct append *a, const struct store_audit_record *r)
{
    const struct batch_row *staged = &a->batch.rows[r->sequence - a->last_before - 1];
    return memcmp(staged->hash, r->hash, STORE_HASH_SIZE) == 0 ? OK : refuse_rewritten(a, r);
}

/* The row that this sequence is in, if there is one. */
static enum err known_read(struct append *a, uint64_t sequence)
{
    sqlite3_stmt *find = NULL;
    bool row = false;
    struct known *k = &a->known;
    k->count = 0;
    buffer_clear(&k->hashes);
    enum err err = db_statement(a->db,
                                "SELECT sequence, hashes FROM audit_batch"
                                " WHERE stream = ?1 AND sequence <= ?2"
                                " ORDER BY sequence DESC LIMIT 1",
                                &find);
    if (err == OK) {
        db_bind_number(find, 1, a->stream);
        db_bind_number(find, 2, (int64_t)sequence);
        err = db_step(a->db, find, &row);
    }
    if (err != OK || !row) {
        return err;
    }
    size_t size = (size_t)sqlite3_column_bytes(find, 1);
    k->sequence = (uint64_t)sqlite3_column_int64(find, 0);
    if (size <= BATCH_RECORDS_MAX * STORE_HASH_SIZE) { /* else it was changed */
        k->count = size / STORE_HASH_SIZE;
        err = buffer_append(&k->hashes,
                            bytes_of(sqlite3_column_blob(find, 1), k->count * STORE_HASH_SIZE));
    }
    (void)sqlite3_reset(find);
    return err;
}

static bool known_has(const struct known *k, uint64_t sequence)
{
    return sequence >= k->sequence && sequence - k->sequence < k->count;
}

enum err sqlite_append_check_known(struct append *a, const struct store_audit_record *r)
{
    const struct known *k = &a->known;
    enum err err = OK;
    if (r->sequence > a->last_before) { /* it is twice in the batch */
        return staged_check(a, r);
    }
    if (!known_has(k, r->sequence)) {
        err = known_read(a, r->sequence);
    }
    if (err != OK) {
        return err;
    }
    bool same =
        known_has(k, r->sequence) &&
        memcmp(buffer_bytes(&k->hashes).data + (r->sequence - k->sequence) * STORE_HASH_SIZE,
               r->hash, STORE_HASH_SIZE) == 0;
    return same ? OK : refuse_rewritten(a, r);
}

enum err sqlite_append_check_next(struct append *a, const struct store_audit_record *r)
{
    if (r->sequence != a->last.sequence + 1) {
        a->refused = r->sequence;
        return err_set(a->why, ERR_INVALID, "record %llu: a gap, expected %llu",
                       (unsigned long long)r->sequence, (unsigned long long)a->last.sequence + 1);
    }
    if (memcmp(r->previous, a->last.hash, STORE_HASH_SIZE) != 0) {
        return refuse(a, r, ERR_INVALID,
                      "its previous hash is not the hash of the record before it");
    }
    return OK;
}
