#include <stdio.h>

#include "controlplane/store/postgres/pg_store.h"

/* A released migration is never edited: a change is a new one at the end.
 *
 * Names and texts that agents choose may be longer than a B-tree takes: they are unique by their
 * hash. audit_record, audit_text and audit_record_table are partitioned by the same months of the
 * key; pg_months.c makes them. What lies before 2020 is in one partition: clocks that were never
 * set. */
static const char version_1[] =
    "CREATE TABLE document ("
    "  kind int8 NOT NULL, name bytea NOT NULL, json bytea NOT NULL, updated_ns int8 NOT NULL,"
    "  PRIMARY KEY (kind, name));"
    "CREATE TABLE secret ("
    "  name bytea PRIMARY KEY, sealed bytea NOT NULL, updated_ns int8 NOT NULL);"
    "CREATE TABLE sidecar ("
    "  id bytea PRIMARY KEY, name bytea NOT NULL, version bytea NOT NULL,"
    "  key_hash bytea NOT NULL, certificate_serial bytea NOT NULL,"
    "  certificate_not_after_ns int8 NOT NULL, enrolled_ns int8 NOT NULL,"
    "  last_seen_ns int8 NOT NULL, policy_revision int8 NOT NULL, policy_state bytea NOT NULL,"
    "  enrolled_by bytea NOT NULL);"
    "CREATE TABLE join_token ("
    "  hash bytea PRIMARY KEY, name bytea NOT NULL, created_by bytea NOT NULL,"
    "  created_ns int8 NOT NULL, expires_ns int8 NOT NULL, used_ns int8 NOT NULL);"
    "CREATE TABLE policy ("
    "  revision int8 PRIMARY KEY, hash bytea NOT NULL, document bytea NOT NULL,"
    "  signature bytea NOT NULL, public_key bytea NOT NULL, source bytea NOT NULL,"
    "  created_by bytea NOT NULL, created_ns int8 NOT NULL, message bytea NOT NULL);"

    /* The end of each sidecar's stream: what the next record must follow. */
    "CREATE TABLE audit_stream ("
    "  id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, sidecar bytea NOT NULL UNIQUE,"
    "  last_sequence int8 NOT NULL, last_key int8 NOT NULL, last_hash bytea NOT NULL);"
    /* Numbers without a gap, seen in their order: a row is locked until the commit. 1: positions of
     * the log, `extra` is the greatest key there is, `erasures` says that keys of sessions were
     * deleted; 2: the cursor of approvals. */
    "CREATE TABLE counter ("
    "  id int8 PRIMARY KEY, value int8 NOT NULL, extra int8 NOT NULL, erasures int8 NOT NULL);"
    "INSERT INTO counter VALUES (1, 0, 0, 0), (2, 0, 0, 0);"
    /* A dictionary: identities, resources, last parts of table names. */
    "CREATE TABLE audit_name ("
    "  id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, name bytea NOT NULL);"
    "CREATE UNIQUE INDEX audit_name_name ON audit_name (sha256(name));"
    "CREATE TABLE audit_table ("
    "  id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  name int8 NOT NULL REFERENCES audit_name, full_name bytea NOT NULL);"
    "CREATE UNIQUE INDEX audit_table_full_name ON audit_table (sha256(full_name));"
    "CREATE INDEX audit_table_name ON audit_table (name);"
    "CREATE TABLE audit_session ("
    "  id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY, session bytea NOT NULL,"
    "  stream int8 NOT NULL REFERENCES audit_stream,"
    "  identity int8 REFERENCES audit_name, resource int8 REFERENCES audit_name,"
    "  on_behalf_of bytea NOT NULL, protocol bytea NOT NULL, database bytea NOT NULL,"
    "  agent_address bytea NOT NULL, opened_ns int8 NOT NULL, closed_ns int8 NOT NULL,"
    "  operations int8 NOT NULL, state int8 NOT NULL, close_reason bytea NOT NULL,"
    "  erased_ns int8 NOT NULL DEFAULT 0, UNIQUE (session, stream));"
    "CREATE INDEX audit_session_opened ON audit_session (opened_ns, id);"
    "CREATE INDEX audit_session_open ON audit_session (opened_ns, id) WHERE closed_ns = 0;"
    "CREATE INDEX audit_session_open_stream ON audit_session (stream) WHERE closed_ns = 0;"
    "CREATE INDEX audit_session_resource ON audit_session (resource, closed_ns);"
    /* A table of its own: a key is deleted and vacuumed away, what names the session stays. */
    "CREATE TABLE audit_content_key ("
    "  session int8 PRIMARY KEY REFERENCES audit_session, wrapped bytea NOT NULL)"
    "  WITH (autovacuum_vacuum_scale_factor = 0, autovacuum_vacuum_threshold = 1);"
    /* The transactions that erased something. */
    "CREATE TABLE audit_scrub (xid int8 PRIMARY KEY);"

    /* The order of the log: unpartitioned, so that a position is there once. */
    "CREATE TABLE audit_log ("
    "  position int8 PRIMARY KEY, key int8 NOT NULL, hash bytea NOT NULL);"
    "CREATE TABLE audit_record ("
    "  key int8 NOT NULL, position int8 NOT NULL, stream int8 NOT NULL, sequence int8 NOT NULL,"
    "  kind int8 NOT NULL, verdict int8 NOT NULL, status int8 NOT NULL, row_count int8 NOT NULL,"
    "  session int8, identity int8, resource int8, received_ns int8 NOT NULL, form int8 NOT NULL,"
    "  tables int8[], hash bytea NOT NULL, error_code bytea NOT NULL, content bytea NOT NULL,"
    "  PRIMARY KEY (key)) PARTITION BY RANGE (key);"
    "CREATE INDEX audit_record_sequence ON audit_record (stream, sequence);"
    "CREATE INDEX audit_record_session ON audit_record (session, key) WHERE session IS NOT NULL;"
    "CREATE INDEX audit_record_identity ON audit_record (identity, key)"
    "  WHERE identity IS NOT NULL;"
    "CREATE INDEX audit_record_resource ON audit_record (resource, key)"
    "  WHERE resource IS NOT NULL;"
    /* What is rare: refusals, and all but intents and outcomes. */
    "CREATE INDEX audit_record_verdict ON audit_record (verdict, key) WHERE verdict > 1;"
    "CREATE INDEX audit_record_kind ON audit_record (kind, key) WHERE kind NOT IN (11, 13);"
    /* By audit_record.tables, the last parts of names, its rows are found again. */
    "CREATE TABLE audit_record_table ("
    "  name int8 NOT NULL, key int8 NOT NULL, full_names int8[] NOT NULL,"
    "  PRIMARY KEY (name, key)) PARTITION BY RANGE (key);"
    /* `words` finds, `spoken` (the words in their order) decides: pg_words.h. */
    "CREATE TABLE audit_text ("
    "  key int8 NOT NULL, words tsvector NOT NULL, spoken bytea NOT NULL,"
    "  PRIMARY KEY (key)) PARTITION BY RANGE (key);"
    "CREATE INDEX audit_text_words ON audit_text USING gin (words)"
    "  WITH (gin_pending_list_limit = 4096);"
    "CREATE TABLE audit_month (month int8 PRIMARY KEY);"
    "CREATE TABLE audit_record_past PARTITION OF audit_record"
    "  FOR VALUES FROM (MINVALUE) TO (1577836800000000000);"
    "CREATE TABLE audit_record_table_past PARTITION OF audit_record_table"
    "  FOR VALUES FROM (MINVALUE) TO (1577836800000000000);"
    "CREATE TABLE audit_text_past PARTITION OF audit_text"
    "  FOR VALUES FROM (MINVALUE) TO (1577836800000000000);"

    "CREATE TABLE log_checkpoint ("
    "  size int8 PRIMARY KEY, root bytea NOT NULL, time_ns int8 NOT NULL, note bytea NOT NULL);"
    "CREATE TABLE cursor ("
    "  name bytea PRIMARY KEY, position int8 NOT NULL, updated_ns int8 NOT NULL);"
    "CREATE TABLE issuer_key ("
    "  issuer bytea NOT NULL, key_id bytea NOT NULL, jwk bytea NOT NULL,"
    "  first_seen_ns int8 NOT NULL, last_seen_ns int8 NOT NULL);"
    "CREATE UNIQUE INDEX issuer_key_all ON issuer_key"
    "  (sha256(issuer), sha256(key_id), sha256(jwk));"
    "CREATE TABLE legal_hold ("
    "  id bytea PRIMARY KEY, resource bytea NOT NULL, identity bytea NOT NULL,"
    "  session bytea NOT NULL, reason bytea NOT NULL, created_by bytea NOT NULL,"
    "  created_ns int8 NOT NULL, lifted_ns int8 NOT NULL, lifted_by bytea NOT NULL);"
    "CREATE INDEX legal_hold_open ON legal_hold (created_ns) WHERE lifted_ns = 0;"

    "CREATE TABLE approval ("
    "  id bytea PRIMARY KEY, state int8 NOT NULL, version int8 NOT NULL,"
    "  sidecar bytea NOT NULL, session bytea NOT NULL, issuer bytea NOT NULL,"
    "  identity bytea NOT NULL, resource bytea NOT NULL, digest bytea NOT NULL,"
    "  requested_ns int8 NOT NULL, due_ns int8 NOT NULL, ended_ns int8 NOT NULL,"
    "  used_by bytea NOT NULL, standing_votes int8 NOT NULL, standing_until_ns int8 NOT NULL,"
    "  standing_uses int8 NOT NULL, held bytea NOT NULL);"
    "CREATE INDEX approval_requested ON approval (requested_ns, id);"
    "CREATE INDEX approval_open ON approval (requested_ns, id) WHERE ended_ns = 0;"
    "CREATE INDEX approval_waiting ON approval (session) WHERE state = 1;"
    "CREATE INDEX approval_due ON approval (due_ns) WHERE due_ns > 0;"
    "CREATE INDEX approval_digest ON approval (digest, requested_ns);"
    "CREATE UNIQUE INDEX approval_used_by ON approval (used_by) WHERE used_by <> '';"
    "CREATE TABLE approval_decision ("
    "  id int8 GENERATED ALWAYS AS IDENTITY PRIMARY KEY,"
    "  approval bytea NOT NULL REFERENCES approval, issuer bytea NOT NULL,"
    "  subject bytea NOT NULL, key bytea NOT NULL, time_ns int8 NOT NULL, answer bytea NOT NULL);"
    "CREATE UNIQUE INDEX approval_decision_key ON approval_decision"
    "  (approval, sha256(issuer), sha256(subject), sha256(key)) WHERE key <> '';"
    "CREATE TABLE approval_event ("
    "  cursor int8 PRIMARY KEY, approval bytea NOT NULL REFERENCES approval);"
    "CREATE TABLE standing_approval ("
    "  id bytea PRIMARY KEY, key bytea NOT NULL, approval bytea NOT NULL,"
    "  created_ns int8 NOT NULL, until_ns int8 NOT NULL, uses_max int8 NOT NULL,"
    "  uses int8 NOT NULL);"
    "CREATE INDEX standing_approval_key ON standing_approval (key, until_ns);"
    "CREATE TABLE chat_link ("
    "  provider bytea NOT NULL, account bytea NOT NULL, issuer bytea NOT NULL,"
    "  subject bytea NOT NULL, name bytea NOT NULL, groups bytea NOT NULL,"
    "  created_ns int8 NOT NULL, expires_ns int8 NOT NULL, PRIMARY KEY (provider, account));"
    "CREATE TABLE link_code ("
    "  hash bytea PRIMARY KEY, provider bytea NOT NULL, account bytea NOT NULL,"
    "  expires_ns int8 NOT NULL, used_ns int8 NOT NULL);"
    "CREATE TABLE block ("
    "  id bytea PRIMARY KEY, identity bytea NOT NULL, resource bytea NOT NULL,"
    "  everything int8 NOT NULL, reason bytea NOT NULL, created_by bytea NOT NULL,"
    "  created_ns int8 NOT NULL, lifted_ns int8 NOT NULL, lifted_by bytea NOT NULL);"
    "CREATE INDEX block_open ON block (created_ns, id) WHERE lifted_ns = 0";

/* Orders to other control planes. */
static const char version_2[] = "ALTER TABLE block ADD COLUMN is_order int8 NOT NULL DEFAULT 0;"
                                "ALTER TABLE block ADD COLUMN session bytea NOT NULL DEFAULT ''";

/* Records in blobs (store_blobs.h): audit_record.form 3. `state`: 0 waits for its row, 1 has it, 2
 * is to be deleted. */
static const char version_3[] =
    "CREATE TABLE audit_blob ("
    "  name bytea PRIMARY KEY, session int8, state int8 NOT NULL, since_ns int8 NOT NULL);"
    "CREATE INDEX audit_blob_session ON audit_blob (session) WHERE session IS NOT NULL;"
    "CREATE INDEX audit_blob_other ON audit_blob (state, since_ns) WHERE state <> 1";

/* Revoked sidecars: their keys are refused, their streams take no more records. */
static const char version_4[] =
    "ALTER TABLE sidecar ADD COLUMN revoked_ns int8 NOT NULL DEFAULT 0;"
    "ALTER TABLE sidecar ADD COLUMN revoked_by bytea NOT NULL DEFAULT '';"
    "ALTER TABLE sidecar ADD COLUMN revoked_reason bytea NOT NULL DEFAULT '';"
    "CREATE INDEX sidecar_revoked ON sidecar (key_hash) WHERE revoked_ns <> 0;"
    "ALTER TABLE audit_stream ADD COLUMN revoked_ns int8 NOT NULL DEFAULT 0";

/* Standing approvals end by a person's word, too. */
static const char version_5[] =
    "ALTER TABLE standing_approval ADD COLUMN revoked_ns int8 NOT NULL DEFAULT 0;"
    "ALTER TABLE standing_approval ADD COLUMN revoked_by bytea NOT NULL DEFAULT '';"
    "ALTER TABLE standing_approval ADD COLUMN revoked_because bytea NOT NULL DEFAULT '';"
    "CREATE INDEX standing_approval_until ON standing_approval (until_ns)";

static const struct postgres_migration store_migrations[] = {
    {.version = 1, .sql = version_1}, {.version = 2, .sql = version_2},
    {.version = 3, .sql = version_3}, {.version = 4, .sql = version_4},
    {.version = 5, .sql = version_5},
};

/* An empty database becomes ours; another program's is left alone. -1: it is that. */
static const char version_sql[] =
    "SELECT CASE"
    " WHEN to_regclass('chaperone.schema_version') IS NOT NULL THEN 1::int8"
    " WHEN EXISTS (SELECT FROM pg_namespace WHERE nspname = 'chaperone') THEN -1::int8"
    " WHEN EXISTS (SELECT FROM pg_class c JOIN pg_namespace n ON n.oid = c.relnamespace"
    "  WHERE c.relkind IN ('r', 'p', 'v', 'm', 'f') AND n.nspname <> 'information_schema'"
    "  AND n.nspname NOT LIKE 'pg\\_%' AND NOT EXISTS (SELECT FROM pg_depend d"
    "   WHERE d.objid = c.oid AND d.deptype = 'e')) THEN -1::int8"
    " ELSE 0::int8 END";

static enum err version_read(struct pg *db, int64_t *out, struct err_text *why)
{
    int64_t found = 0;
    enum err err = pg_ask_number(db, version_sql, NULL, &found);
    if (err == OK && found < 0) {
        return err_set(why, ERR_INVALID, "the database is another program's");
    }
    if (err == OK && found == 0) {
        *out = 0;
        return OK;
    }
    if (err == OK) {
        err = pg_ask_number(
            db, "SELECT coalesce(max(version), 0)::int8 FROM chaperone.schema_version", NULL, out);
    }
    return err == OK ? OK : pg_explain(db, err, why);
}

static enum err migration_apply(struct pg *db, const struct postgres_migration *m)
{
    struct pg_parameters p = {.count = 0};
    pg_put_number(&p, m->version);
    enum err err = pg_execute(db, m->sql);
    return err == OK ? pg_run(db,
                              "INSERT INTO schema_version"
                              " VALUES ($1, extract(epoch FROM now())::int8)",
                              &p)
                     : err;
}

static enum err migrations_apply(struct pg *db, const struct postgres_migration *migrations,
                                 size_t count, struct err_text *why)
{
    int64_t version = 0;
    enum err err = version_read(db, &version, why);
    if (err != OK) {
        return err;
    }
    if (version > migrations[count - 1].version) {
        return err_set(why, ERR_INVALID,
                       "the database has schema version %lld, this program knows up to %d: "
                       "it was written by a newer version of this program",
                       (long long)version, migrations[count - 1].version);
    }
    if (version == 0) {
        err = pg_execute(db, "CREATE SCHEMA chaperone;"
                             "CREATE TABLE chaperone.schema_version ("
                             " version int8 PRIMARY KEY, applied_s int8 NOT NULL)");
    }
    for (size_t i = 0; err == OK && i < count; i++) {
        if (migrations[i].version > version) {
            err = migration_apply(db, &migrations[i]);
        }
    }
    return err == OK ? OK : pg_explain(db, err, why);
}

enum err postgres_migrate(struct pg *db, const struct postgres_migration *migrations, size_t count,
                          struct err_text *why)
{
    char text[200];
    /* One control plane at a time: the others wait, and find it done. */
    (void)snprintf(text, sizeof(text),
                   "BEGIN; SET LOCAL statement_timeout = 0; SET LOCAL lock_timeout = 0;"
                   "SELECT pg_advisory_xact_lock(%d, %d)",
                   PG_LOCK_CLASS, PG_LOCK_SCHEMA);
    enum err err = pg_execute(db, text);
    if (err != OK) {
        return pg_explain(db, err, why);
    }
    err = migrations_apply(db, migrations, count, why);
    if (err == OK) {
        err = pg_execute(db, "COMMIT");
        return err == OK ? OK : pg_explain(db, err, why);
    }
    if (pg_execute(db, "ROLLBACK") != OK) {
        pg_disconnect(db);
    }
    return err;
}

enum err postgres_migrate_store(struct pg *db, struct err_text *why)
{
    return postgres_migrate(db, store_migrations,
                            sizeof(store_migrations) / sizeof(store_migrations[0]), why);
}
