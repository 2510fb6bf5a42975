/* Sidecars, the tokens they join with, and the policies they get. */
#include "controlplane/store/postgres/pg_store.h"
#include "controlplane/store/postgres/pg_write.h"

#define SIDECAR_COLUMNS                                                                            \
    "id, name, version, key_hash, certificate_serial, certificate_not_after_ns, enrolled_ns,"      \
    " last_seen_ns, policy_revision, policy_state, enrolled_by, revoked_ns, revoked_by,"           \
    " revoked_reason"

/* Before what reads a sidecar and writes it: two control planes may do so with the same ones, in
 * another order, and a key that is being revoked is not enrolled meanwhile. */
static enum err sidecars_lock(struct pg *db)
{
    return pg_run(db, "LOCK TABLE sidecar IN SHARE ROW EXCLUSIVE MODE", NULL);
}

static enum err sidecar_add(struct store *store, const struct store_sidecar *sidecar)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters p = {.count = 0};
    struct pg *db = NULL;
    pg_put_string(&p, sidecar->id);
    pg_put_string(&p, sidecar->name);
    pg_put_string(&p, sidecar->version);
    pg_put_bytes(&p, bytes_of(sidecar->key_hash, STORE_HASH_SIZE));
    pg_put_string(&p, sidecar->certificate_serial);
    pg_put_number(&p, sidecar->certificate_not_after_ns);
    pg_put_number(&p, sidecar->enrolled_ns);
    pg_put_number(&p, sidecar->last_seen_ns);
    pg_put_number(&p, (int64_t)sidecar->policy_revision);
    pg_put_string(&p, sidecar->policy_state);
    pg_put_string(&p, sidecar->enrolled_by);
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = sidecars_lock(db);
    if (err == OK) {
        err = pg_run_one(
            db,
            "INSERT INTO sidecar (" SIDECAR_COLUMNS ")"
            " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9, $10, $11, 0, ''::bytea, ''::bytea"
            " WHERE NOT EXISTS (SELECT FROM sidecar"
            "  WHERE key_hash = $4 AND revoked_ns <> 0)",
            &p);
    }
    return postgres_end(s, db, err == ERR_NOT_FOUND ? ERR_DENIED : err);
}

static enum err sidecar_renew(struct store *store, const char *id, const char *certificate_serial,
                              int64_t not_after_ns, const char *name, const char *version)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, id);
    pg_put_string(&p, certificate_serial);
    pg_put_number(&p, not_after_ns);
    pg_put_optional_string(&p, name);
    pg_put_optional_string(&p, version);
    return postgres_write_one(
        postgres_of(store),
        "UPDATE sidecar SET certificate_serial = $2, certificate_not_after_ns = $3,"
        " name = coalesce($4, name), version = coalesce($5, version)"
        " WHERE id = $1 AND revoked_ns = 0",
        &p, true, 0);
}

static enum err news_write(struct pg *db, const struct store_sidecar_news *one)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, one->sidecar);
    pg_put_number(&p, one->seen_ns);
    pg_put_number(&p, (int64_t)one->policy_revision);
    pg_put_optional_string(&p, one->policy_state);
    return pg_run(db,
                  "UPDATE sidecar SET last_seen_ns = greatest(last_seen_ns, $2),"
                  " policy_revision = CASE WHEN $4 IS NULL THEN policy_revision ELSE $3 END,"
                  " policy_state = coalesce($4, policy_state) WHERE id = $1",
                  &p);
}

static enum err sidecar_news(struct store *store, const struct store_sidecar_news *news,
                             size_t count)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = sidecars_lock(db);
    for (size_t i = 0; err == OK && i < count; i++) {
        err = news_write(db, &news[i]);
    }
    return postgres_end(s, db, err);
}

static bool sidecar_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_sidecar *sidecar = out_item;
    bool failed = false;
    sidecar->id = pg_copy_string(result, row, 0, arena, &failed);
    sidecar->name = pg_copy_string(result, row, 1, arena, &failed);
    sidecar->version = pg_copy_string(result, row, 2, arena, &failed);
    (void)pg_hash(result, row, 3, sidecar->key_hash);
    sidecar->certificate_serial = pg_copy_string(result, row, 4, arena, &failed);
    sidecar->certificate_not_after_ns = pg_number(result, row, 5);
    sidecar->enrolled_ns = pg_number(result, row, 6);
    sidecar->last_seen_ns = pg_number(result, row, 7);
    sidecar->policy_revision = (uint64_t)pg_number(result, row, 8);
    sidecar->policy_state = pg_copy_string(result, row, 9, arena, &failed);
    sidecar->enrolled_by = pg_copy_string(result, row, 10, arena, &failed);
    sidecar->revoked_ns = pg_number(result, row, 11);
    sidecar->revoked_by = pg_copy_string(result, row, 12, arena, &failed);
    sidecar->revoked_reason = pg_copy_string(result, row, 13, arena, &failed);
    return !failed;
}

static enum err sidecar_get(struct store *store, const char *id, struct arena *arena,
                            struct store_sidecar *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_string(&p, id);
    return postgres_read_one(postgres_of(store),
                             "SELECT " SIDECAR_COLUMNS " FROM sidecar WHERE id = $1", &p,
                             sizeof(*out), sidecar_read, arena, out);
}

static enum err sidecar_list(struct store *store, struct arena *arena,
                             struct store_sidecar **out_items, size_t *out_count)
{
    void *items = NULL;
    enum err err = postgres_read_all(
        postgres_of(store),
        "SELECT " SIDECAR_COLUMNS " FROM sidecar ORDER BY last_seen_ns DESC, id", NULL,
        sizeof(struct store_sidecar), sidecar_read, arena, &items, out_count);
    if (err == OK) {
        *out_items = items;
    }
    return err;
}

static enum err sidecar_find_revoked(struct store *store, const uint8_t key_hash[STORE_HASH_SIZE],
                                     struct arena *arena, struct store_sidecar *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, bytes_of(key_hash, STORE_HASH_SIZE));
    return postgres_read_one(postgres_of(store),
                             "SELECT " SIDECAR_COLUMNS " FROM sidecar"
                             " WHERE key_hash = $1 AND revoked_ns <> 0 ORDER BY id LIMIT 1",
                             &p, sizeof(*out), sidecar_read, arena, out);
}

/* ---- revoking ----------------------------------------------------------------------------------
 */

static enum err sidecar_set_revoked(struct pg *db, const struct store_revocation *r)
{
    struct pg_parameters p = {.count = 0}, set = {.count = 0};
    int64_t revoked_ns = 0;
    pg_put_string(&p, r->sidecar);
    enum err err =
        pg_ask_number(db, "SELECT revoked_ns FROM sidecar WHERE id = $1", &p, &revoked_ns);
    if (err == OK && revoked_ns != 0) {
        err = ERR_DENIED;
    }
    if (err != OK) {
        return err;
    }
    pg_put_string(&set, r->sidecar);
    pg_put_number(&set, r->now_ns);
    pg_put_string(&set, r->by);
    pg_put_string(&set, r->reason);
    return pg_run_one(db,
                      "UPDATE sidecar SET revoked_ns = $2, revoked_by = $3, revoked_reason = $4"
                      " WHERE id = $1",
                      &set);
}

/* Also of one that never sent anything: nothing may begin it. */
static enum err stream_set_revoked(struct pg *db, const struct store_revocation *r)
{
    static const uint8_t zeros[STORE_HASH_SIZE] = {0};
    struct pg_parameters add = {.count = 0}, set = {.count = 0};
    int64_t stream = 0;
    pg_put_string(&add, r->sidecar);
    pg_put_bytes(&add, bytes_of(zeros, sizeof(zeros)));
    pg_put_string(&set, r->sidecar);
    pg_put_number(&set, (int64_t)r->last_sequence);
    pg_put_number(&set, r->now_ns);
    enum err err = pg_run(db,
                          "INSERT INTO audit_stream (sidecar, last_sequence, last_key, last_hash)"
                          " VALUES ($1, 0, 0, $2) ON CONFLICT (sidecar) DO NOTHING",
                          &add);
    if (err == OK) {
        err = pg_ask_number(db,
                            "UPDATE audit_stream SET revoked_ns = $3 WHERE sidecar = $1"
                            " AND last_sequence = $2 RETURNING id",
                            &set, &stream);
        err = err == ERR_NOT_FOUND ? ERR_EXISTS : err;
    }
    return err == OK ? write_sessions_end(db, stream, r->now_ns, "revoked") : err;
}

/* What adds a held operation locks the counter of events, and then as appends do that of positions:
 * so does this, and none of either is under way. */
static enum err sidecar_revoke(struct store *store, const struct store_revocation *revocation)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    enum err err = postgres_append_prepare(s, revocation->audit);
    if (err == OK) {
        err = postgres_begin(s, &db);
    }
    if (err != OK) {
        return err;
    }
    err = pg_run_one(db, "SELECT FROM counter WHERE id = 2 FOR UPDATE", NULL);
    if (err == OK) {
        err = pg_run_one(db, "SELECT FROM counter WHERE id = 1 FOR UPDATE", NULL);
    }
    if (err == OK) {
        err = sidecars_lock(db);
    }
    if (err == OK) {
        err = sidecar_set_revoked(db, revocation);
    }
    if (err == OK) {
        err = stream_set_revoked(db, revocation);
    }
    if (err == OK) {
        err = postgres_append_in(s, db, revocation->audit);
    }
    return postgres_end_news(s, db, err, STORE_NEWS_SIDECARS);
}

/* ---- join tokens -------------------------------------------------------------------------------
 */

static enum err join_token_add(struct store *store, const struct store_join_token *token)
{
    struct pg_parameters p = {.count = 0};
    pg_put_bytes(&p, bytes_of(token->hash, STORE_HASH_SIZE));
    pg_put_string(&p, token->name);
    pg_put_string(&p, token->created_by);
    pg_put_number(&p, token->created_ns);
    pg_put_number(&p, token->expires_ns);
    return postgres_write_one(
        postgres_of(store), "INSERT INTO join_token VALUES ($1, $2, $3, $4, $5, 0)", &p, false, 0);
}

static bool join_token_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_join_token *token = out_item;
    bool failed = false;
    (void)pg_hash(result, row, 0, token->hash);
    token->name = pg_copy_string(result, row, 1, arena, &failed);
    token->created_by = pg_copy_string(result, row, 2, arena, &failed);
    token->created_ns = pg_number(result, row, 3);
    token->expires_ns = pg_number(result, row, 4);
    token->used_ns = pg_number(result, row, 5);
    return !failed;
}

/* The row stays locked: nobody uses it in between. */
static enum err join_token_take(struct pg *db, struct bytes hash, int64_t now_ns,
                                struct arena *arena, struct store_join_token *out)
{
    struct pg_parameters p = {.count = 0};
    struct store_join_token token;
    pg_put_bytes(&p, hash);
    enum err err = pg_read_one(db,
                               "SELECT hash, name, created_by, created_ns, expires_ns, used_ns"
                               " FROM join_token WHERE hash = $1 FOR UPDATE",
                               &p, sizeof(token), join_token_read, arena, &token);
    if (err == OK && token.used_ns != 0) {
        err = ERR_EXISTS;
    }
    if (err == OK && now_ns >= token.expires_ns) {
        err = ERR_TIMEOUT;
    }
    if (err != OK) {
        return err;
    }
    token.used_ns = now_ns;
    pg_put_number(&p, now_ns);
    err = pg_run_one(db, "UPDATE join_token SET used_ns = $2 WHERE hash = $1", &p);
    if (err == OK) {
        *out = token;
    }
    return err;
}

static enum err join_token_use(struct store *store, const uint8_t hash[STORE_HASH_SIZE],
                               int64_t now_ns, struct arena *arena, struct store_join_token *out)
{
    struct postgres_store *s = postgres_of(store);
    struct pg *db = NULL;
    struct store_join_token token;
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = join_token_take(db, bytes_of(hash, STORE_HASH_SIZE), now_ns, arena, &token);
    err = postgres_end(s, db, err);
    if (err == OK) {
        *out = token;
    }
    return err;
}

/* ---- policies ----------------------------------------------------------------------------------
 */

#define POLICY_COLUMNS                                                                             \
    "revision, hash, document, signature, public_key, source, created_by, created_ns, message"

static enum err policy_add(struct store *store, const struct store_policy *policy)
{
    struct postgres_store *s = postgres_of(store);
    struct pg_parameters p = {.count = 0};
    struct pg *db = NULL;
    pg_put_number(&p, (int64_t)policy->revision);
    pg_put_string(&p, policy->hash);
    pg_put_bytes(&p, policy->document);
    pg_put_bytes(&p, policy->signature);
    pg_put_bytes(&p, policy->public_key);
    pg_put_string(&p, policy->source);
    pg_put_string(&p, policy->created_by);
    pg_put_number(&p, policy->created_ns);
    pg_put_string(&p, policy->message);
    enum err err = postgres_begin(s, &db);
    if (err != OK) {
        return err;
    }
    err = pg_run(db, "LOCK TABLE policy IN SHARE ROW EXCLUSIVE MODE", NULL);
    if (err == OK) {
        err = pg_run_one(db,
                         "INSERT INTO policy (" POLICY_COLUMNS ")"
                         " SELECT $1, $2, $3, $4, $5, $6, $7, $8, $9"
                         " WHERE $1 > (SELECT coalesce(max(revision), 0) FROM policy)",
                         &p);
    }
    return postgres_end_news(s, db, err == ERR_NOT_FOUND ? ERR_EXISTS : err, STORE_NEWS_POLICY);
}

static bool policy_read(const PGresult *result, int row, struct arena *arena, void *out_item)
{
    struct store_policy *policy = out_item;
    bool failed = false;
    policy->revision = (uint64_t)pg_number(result, row, 0);
    policy->hash = pg_copy_string(result, row, 1, arena, &failed);
    policy->document = pg_copy_bytes(result, row, 2, arena, &failed);
    policy->signature = pg_copy_bytes(result, row, 3, arena, &failed);
    policy->public_key = pg_copy_bytes(result, row, 4, arena, &failed);
    policy->source = pg_copy_string(result, row, 5, arena, &failed);
    policy->created_by = pg_copy_string(result, row, 6, arena, &failed);
    policy->created_ns = pg_number(result, row, 7);
    policy->message = pg_copy_string(result, row, 8, arena, &failed);
    return !failed;
}

static enum err policy_get(struct store *store, uint64_t revision, struct arena *arena,
                           struct store_policy *out)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, (int64_t)revision);
    return postgres_read_one(
        postgres_of(store),
        "SELECT " POLICY_COLUMNS " FROM policy WHERE revision ="
        " CASE WHEN $1 = 0 THEN (SELECT max(revision) FROM policy) ELSE $1 END",
        &p, sizeof(*out), policy_read, arena, out);
}

void postgres_fleet_fill(struct store_backend *b)
{
    b->sidecar_add = sidecar_add;
    b->sidecar_renew = sidecar_renew;
    b->sidecar_revoke = sidecar_revoke;
    b->sidecar_find_revoked = sidecar_find_revoked;
    b->sidecar_news = sidecar_news;
    b->sidecar_get = sidecar_get;
    b->sidecar_list = sidecar_list;
    b->join_token_add = join_token_add;
    b->join_token_use = join_token_use;
    b->policy_add = policy_add;
    b->policy_get = policy_get;
}
