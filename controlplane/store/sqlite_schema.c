#include <stdio.h>
#include <time.h>

#include "controlplane/store/sqlite.h"

enum { STORE_APPLICATION_ID = 0x43686170 }; /* "Chap": tells our files from other programs' */

/* A released migration is never edited: a change is a new one at the end.
 *
 * audit_record.key orders by time and is the rowid of everything that finds records, so that each
 * index is read in the order of the answer, from where its bounds say. STRICT keeps a wrong
 * binding from being stored. Text may be any bytes: SQLite does not look into it. */
static const char version_1[] =
    "CREATE TABLE document ("
    "  kind INTEGER NOT NULL, name TEXT NOT NULL, json TEXT NOT NULL, updated_ns INTEGER NOT NULL,"
    "  PRIMARY KEY (kind, name)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE secret ("
    "  name TEXT PRIMARY KEY NOT NULL, sealed BLOB NOT NULL, updated_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE sidecar ("
    "  id TEXT PRIMARY KEY NOT NULL, name TEXT NOT NULL, version TEXT NOT NULL,"
    "  key_hash BLOB NOT NULL, certificate_serial TEXT NOT NULL,"
    "  certificate_not_after_ns INTEGER NOT NULL, enrolled_ns INTEGER NOT NULL,"
    "  last_seen_ns INTEGER NOT NULL, policy_revision INTEGER NOT NULL,"
    "  policy_state TEXT NOT NULL, enrolled_by TEXT NOT NULL) STRICT;"
    "CREATE TABLE join_token ("
    "  hash BLOB PRIMARY KEY NOT NULL, name TEXT NOT NULL, created_by TEXT NOT NULL,"
    "  created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,"
    "  used_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE policy ("
    "  revision INTEGER PRIMARY KEY NOT NULL, hash TEXT NOT NULL, document BLOB NOT NULL,"
    "  signature BLOB NOT NULL, public_key BLOB NOT NULL, source TEXT NOT NULL,"
    "  created_by TEXT NOT NULL, created_ns INTEGER NOT NULL) STRICT;"

    /* The end of each sidecar's stream: what the next record must follow. */
    "CREATE TABLE audit_stream ("
    "  id INTEGER PRIMARY KEY NOT NULL, sidecar TEXT UNIQUE NOT NULL,"
    "  last_sequence INTEGER NOT NULL, last_hash BLOB NOT NULL,"
    "  last_key INTEGER NOT NULL) STRICT;"
    /* A dictionary: identities, resources, last parts of table names. */
    "CREATE TABLE audit_name (id INTEGER PRIMARY KEY NOT NULL, name TEXT UNIQUE NOT NULL) STRICT;"
    "CREATE TABLE audit_table ("
    "  id INTEGER PRIMARY KEY NOT NULL, name INTEGER NOT NULL REFERENCES audit_name,"
    "  full_name TEXT UNIQUE NOT NULL) STRICT;"
    "CREATE INDEX audit_table_name ON audit_table (name);"
    "CREATE TABLE audit_session ("
    "  id INTEGER PRIMARY KEY NOT NULL, session TEXT NOT NULL,"
    "  stream INTEGER NOT NULL REFERENCES audit_stream,"
    "  identity INTEGER REFERENCES audit_name, resource INTEGER REFERENCES audit_name,"
    "  on_behalf_of TEXT NOT NULL, protocol TEXT NOT NULL, database TEXT NOT NULL,"
    "  agent_address TEXT NOT NULL, opened_ns INTEGER NOT NULL, closed_ns INTEGER NOT NULL,"
    "  operations INTEGER NOT NULL, state TEXT NOT NULL, close_reason TEXT NOT NULL,"
    "  UNIQUE (session, stream)) STRICT;"
    "CREATE INDEX audit_session_opened ON audit_session (opened_ns);"
    "CREATE INDEX audit_session_open ON audit_session (opened_ns) WHERE closed_ns = 0;"
    "CREATE INDEX audit_session_open_stream ON audit_session (stream) WHERE closed_ns = 0;"
    /* The bytes come last: a filter reads the columns before them without their overflow pages. */
    "CREATE TABLE audit_record ("
    "  key INTEGER PRIMARY KEY NOT NULL, position INTEGER NOT NULL,"
    "  stream INTEGER NOT NULL REFERENCES audit_stream, sequence INTEGER NOT NULL,"
    "  kind INTEGER NOT NULL, verdict INTEGER NOT NULL, status INTEGER NOT NULL,"
    "  row_count INTEGER NOT NULL, error_code TEXT NOT NULL,"
    "  session INTEGER REFERENCES audit_session, identity INTEGER REFERENCES audit_name,"
    "  resource INTEGER REFERENCES audit_name, received_ns INTEGER NOT NULL,"
    "  hash BLOB NOT NULL, canonical BLOB NOT NULL,"
    "  UNIQUE (stream, sequence)) STRICT;"
    "CREATE UNIQUE INDEX audit_record_position ON audit_record (position);"
    "CREATE INDEX audit_record_session ON audit_record (session) WHERE session IS NOT NULL;"
    "CREATE INDEX audit_record_identity ON audit_record (identity) WHERE identity IS NOT NULL;"
    "CREATE INDEX audit_record_resource ON audit_record (resource) WHERE resource IS NOT NULL;"
    /* What is rare: refusals, and all but intents and outcomes. */
    "CREATE INDEX audit_record_verdict ON audit_record (verdict) WHERE verdict > 1;"
    "CREATE INDEX audit_record_kind ON audit_record (kind) WHERE kind NOT IN (11, 13);"
    "CREATE TABLE audit_record_table ("
    "  name INTEGER NOT NULL, key INTEGER NOT NULL, full_name INTEGER NOT NULL,"
    "  PRIMARY KEY (name, key, full_name)) STRICT, WITHOUT ROWID;"
    /* Contentless: the text itself is in audit_record.canonical. `tag` has a word for each thing
     * that may be asked for together with words (i12: identity 12), so that the full-text index
     * intersects them and a common word of a rare identity is found without reading all. */
    "CREATE VIRTUAL TABLE audit_text USING fts5 ("
    "  text, tag, content = '', columnsize = 0, tokenize = 'unicode61 remove_diacritics 0');";

static const char version_2[] = "ALTER TABLE policy ADD COLUMN message TEXT NOT NULL DEFAULT ''";

/* Databases whose version 1 was made before it had these. */
static const char version_3[] =
    "CREATE UNIQUE INDEX IF NOT EXISTS audit_record_position ON audit_record (position);"
    "CREATE INDEX IF NOT EXISTS audit_session_open_stream ON audit_session (stream)"
    " WHERE closed_ns = 0";

/* What a person says about held operations, and the kill switch. approval.held is the whole of it;
 * the columns before it are what it is found by. due_ns is when time ends the state it is in, 0:
 * never. `used_by` is the request that an approval given before was used for. */
static const char version_4[] =
    "CREATE TABLE approval ("
    "  id TEXT PRIMARY KEY NOT NULL, state INTEGER NOT NULL, version INTEGER NOT NULL,"
    "  sidecar TEXT NOT NULL, session TEXT NOT NULL, issuer TEXT NOT NULL,"
    "  identity TEXT NOT NULL, resource TEXT NOT NULL, digest BLOB NOT NULL,"
    "  requested_ns INTEGER NOT NULL, due_ns INTEGER NOT NULL, ended_ns INTEGER NOT NULL,"
    "  used_by TEXT NOT NULL, standing_votes INTEGER NOT NULL,"
    "  standing_until_ns INTEGER NOT NULL, standing_uses INTEGER NOT NULL,"
    "  held BLOB NOT NULL) STRICT;"
    "CREATE INDEX approval_requested ON approval (requested_ns);"
    "CREATE INDEX approval_open ON approval (requested_ns) WHERE ended_ns = 0;"
    "CREATE INDEX approval_waiting ON approval (session) WHERE state = 1;"
    "CREATE INDEX approval_due ON approval (due_ns) WHERE due_ns > 0;"
    "CREATE INDEX approval_digest ON approval (digest, requested_ns);"
    "CREATE UNIQUE INDEX approval_used_by ON approval (used_by) WHERE used_by <> '';"
    "CREATE TABLE approval_decision ("
    "  id INTEGER PRIMARY KEY NOT NULL, approval TEXT NOT NULL REFERENCES approval,"
    "  issuer TEXT NOT NULL, subject TEXT NOT NULL, key TEXT NOT NULL,"
    "  time_ns INTEGER NOT NULL, answer BLOB NOT NULL) STRICT;"
    "CREATE UNIQUE INDEX approval_decision_key"
    " ON approval_decision (approval, issuer, subject, key) WHERE key <> '';"
    "CREATE TABLE approval_event ("
    "  cursor INTEGER PRIMARY KEY AUTOINCREMENT NOT NULL,"
    "  approval TEXT NOT NULL REFERENCES approval) STRICT;"
    "CREATE TABLE standing_approval ("
    "  id TEXT PRIMARY KEY NOT NULL, key BLOB NOT NULL, approval TEXT NOT NULL,"
    "  created_ns INTEGER NOT NULL, until_ns INTEGER NOT NULL, uses_max INTEGER NOT NULL,"
    "  uses INTEGER NOT NULL) STRICT;"
    "CREATE INDEX standing_approval_key ON standing_approval (key, until_ns);"
    "CREATE TABLE chat_link ("
    "  provider TEXT NOT NULL, account TEXT NOT NULL, issuer TEXT NOT NULL,"
    "  subject TEXT NOT NULL, name TEXT NOT NULL, groups TEXT NOT NULL,"
    "  created_ns INTEGER NOT NULL, expires_ns INTEGER NOT NULL,"
    "  PRIMARY KEY (provider, account)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE link_code ("
    "  hash BLOB PRIMARY KEY NOT NULL, provider TEXT NOT NULL, account TEXT NOT NULL,"
    "  expires_ns INTEGER NOT NULL, used_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE block ("
    "  id TEXT PRIMARY KEY NOT NULL, identity TEXT NOT NULL, resource TEXT NOT NULL,"
    "  everything INTEGER NOT NULL, reason TEXT NOT NULL, created_by TEXT NOT NULL,"
    "  created_ns INTEGER NOT NULL, lifted_ns INTEGER NOT NULL, lifted_by TEXT NOT NULL) STRICT;"
    "CREATE INDEX block_open ON block (created_ns) WHERE lifted_ns = 0";

/* The transparency log, and erasing. audit_record.form says what `canonical` is (sqlite_content.h):
 * records of before are plain. A key stands in a table of its own, so that it can be deleted and
 * what names the session stays. */
static const char version_5[] =
    "ALTER TABLE audit_record ADD COLUMN form INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE audit_session ADD COLUMN erased_ns INTEGER NOT NULL DEFAULT 0;"
    "CREATE INDEX audit_session_erasable ON audit_session (resource, closed_ns)"
    " WHERE erased_ns = 0 AND closed_ns <> 0 AND state <> 'about';"
    "CREATE INDEX audit_session_resource ON audit_session (resource)"
    " WHERE resource IS NOT NULL AND state <> 'about';"
    "CREATE TABLE audit_content_key ("
    "  session INTEGER PRIMARY KEY NOT NULL REFERENCES audit_session,"
    "  wrapped BLOB NOT NULL) STRICT;"
    /* Something was erased, and old pages may still hold it. */
    "CREATE TABLE audit_scrub (since_ns INTEGER PRIMARY KEY NOT NULL) STRICT;"
    "CREATE TABLE log_checkpoint ("
    "  size INTEGER PRIMARY KEY NOT NULL, root BLOB NOT NULL, time_ns INTEGER NOT NULL,"
    "  note BLOB NOT NULL) STRICT;"
    "CREATE TABLE cursor ("
    "  name TEXT PRIMARY KEY NOT NULL, position INTEGER NOT NULL,"
    "  updated_ns INTEGER NOT NULL) STRICT;"
    "CREATE TABLE issuer_key ("
    "  issuer TEXT NOT NULL, key_id TEXT NOT NULL, jwk TEXT NOT NULL,"
    "  first_seen_ns INTEGER NOT NULL, last_seen_ns INTEGER NOT NULL,"
    "  PRIMARY KEY (issuer, key_id, jwk)) STRICT, WITHOUT ROWID;"
    "CREATE TABLE legal_hold ("
    "  id TEXT PRIMARY KEY NOT NULL, resource TEXT NOT NULL, identity TEXT NOT NULL,"
    "  session TEXT NOT NULL, reason TEXT NOT NULL, created_by TEXT NOT NULL,"
    "  created_ns INTEGER NOT NULL, lifted_ns INTEGER NOT NULL, lifted_by TEXT NOT NULL) STRICT;"
    "CREATE INDEX approval_session ON approval (session) WHERE session <> '';"
    "CREATE INDEX approval_decision_approval ON approval_decision (approval);"
    "CREATE INDEX legal_hold_open ON legal_hold (created_ns) WHERE lifted_ns = 0";

/* Orders to other control planes. */
static const char version_6[] = "ALTER TABLE block ADD COLUMN is_order INTEGER NOT NULL DEFAULT 0;"
                                "ALTER TABLE block ADD COLUMN session TEXT NOT NULL DEFAULT ''";

/* Records in blobs (store_blobs.h): audit_record.form 3. `state`: 0 waits for its row, 1 has it, 2
 * is to be deleted. */
static const char version_7[] =
    "CREATE TABLE audit_blob ("
    "  name BLOB PRIMARY KEY NOT NULL, session INTEGER, state INTEGER NOT NULL,"
    "  since_ns INTEGER NOT NULL) STRICT, WITHOUT ROWID;"
    "CREATE INDEX audit_blob_session ON audit_blob (session) WHERE session IS NOT NULL;"
    "CREATE INDEX audit_blob_other ON audit_blob (state, since_ns) WHERE state <> 1";

/* Every commit adds a piece to the index of words. Merged by eights and not by fours, its words are
 * written anew less often; a search looks into a few pieces more. */
static const char version_8[] = "INSERT INTO audit_text (audit_text, rank) VALUES ('automerge', 8)";

/* Records by sections (sqlite_section.h). What older versions had in audit_record,
 * audit_record_table and audit_text is moved here when the store is opened (sqlite_convert.c), and
 * they are dropped.
 *
 * audit_batch is the log: records in their order of arrival, those of one append of a stream
 * together; `position` and `sequence` are those of its first one. audit_section.key orders by time
 * and is the rowid of everything that finds records. */
static const char version_9[] =
    "CREATE TABLE audit_batch ("
    "  position INTEGER PRIMARY KEY NOT NULL,"
    "  stream INTEGER NOT NULL REFERENCES audit_stream, sequence INTEGER NOT NULL,"
    "  count INTEGER NOT NULL, received_ns INTEGER NOT NULL, hashes BLOB NOT NULL,"
    "  UNIQUE (stream, sequence)) STRICT;"
    "CREATE TABLE audit_section ("
    "  key INTEGER PRIMARY KEY NOT NULL, last_key INTEGER NOT NULL,"
    "  batch INTEGER NOT NULL REFERENCES audit_batch,"
    "  session INTEGER REFERENCES audit_session, identity INTEGER REFERENCES audit_name,"
    "  resource INTEGER REFERENCES audit_name, form INTEGER NOT NULL,"
    "  head BLOB NOT NULL, content BLOB NOT NULL) STRICT;"
    "CREATE INDEX audit_section_span ON audit_section (key, last_key);"
    "CREATE INDEX audit_section_batch ON audit_section (batch);"
    /* What a section is found by: sqlite.h has the kinds. */
    "CREATE TABLE audit_tag ("
    "  kind INTEGER NOT NULL, value INTEGER NOT NULL, key INTEGER NOT NULL,"
    "  PRIMARY KEY (kind, value, key)) STRICT, WITHOUT ROWID;"
    /* Contentless: of a section it has each word once, and not where (detail = column). Whether a
     * record has all words that are asked for is seen in its text. */
    "CREATE VIRTUAL TABLE audit_words USING fts5 ("
    "  text, tag, content = '', columnsize = 0, detail = column,"
    "  tokenize = 'unicode61 remove_diacritics 0');"
    "INSERT INTO audit_words (audit_words, rank) VALUES ('automerge', 8)";

/* Which words the texts of a section have together (sqlite_marks.h), sealed. Sections that older
 * versions wrote get theirs when the store is opened (sqlite_convert_marks.c): up to
 * audit_mark_made.key they have them. */
static const char version_10[] =
    "CREATE TABLE audit_mark (key INTEGER PRIMARY KEY NOT NULL, marks BLOB NOT NULL) STRICT;"
    "CREATE TABLE audit_mark_made (key INTEGER PRIMARY KEY NOT NULL) STRICT;"
    "INSERT INTO audit_mark_made VALUES (-9223372036854775808)";

/* Revoked sidecars: their keys are refused, their streams take no more records. */
static const char version_11[] =
    "ALTER TABLE sidecar ADD COLUMN revoked_ns INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE sidecar ADD COLUMN revoked_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE sidecar ADD COLUMN revoked_reason TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX sidecar_revoked ON sidecar (key_hash) WHERE revoked_ns <> 0;"
    "ALTER TABLE audit_stream ADD COLUMN revoked_ns INTEGER NOT NULL DEFAULT 0";

/* Standing approvals end by a person's word, too. */
static const char version_12[] =
    "ALTER TABLE standing_approval ADD COLUMN revoked_ns INTEGER NOT NULL DEFAULT 0;"
    "ALTER TABLE standing_approval ADD COLUMN revoked_by TEXT NOT NULL DEFAULT '';"
    "ALTER TABLE standing_approval ADD COLUMN revoked_because TEXT NOT NULL DEFAULT '';"
    "CREATE INDEX standing_approval_until ON standing_approval (until_ns)";

static const struct db_migration store_migrations[] = {
    {.version = 1, .sql = version_1},   {.version = 2, .sql = version_2},
    {.version = 3, .sql = version_3},   {.version = 4, .sql = version_4},
    {.version = 5, .sql = version_5},   {.version = 6, .sql = version_6},
    {.version = 7, .sql = version_7},   {.version = 8, .sql = version_8},
    {.version = 9, .sql = version_9},   {.version = 10, .sql = version_10},
    {.version = 11, .sql = version_11}, {.version = 12, .sql = version_12},
};

static enum err read_number(struct db *db, const char *sql, int64_t *out, struct err_text *why)
{
    sqlite3_stmt *statement = NULL;
    enum err err = OK;
    if (sqlite3_prepare_v2(db->handle, sql, -1, &statement, NULL) != SQLITE_OK) {
        return db_failed(db, why);
    }
    if (sqlite3_step(statement) == SQLITE_ROW) {
        *out = sqlite3_column_int64(statement, 0);
    } else {
        err = db_failed(db, why);
    }
    (void)sqlite3_finalize(statement);
    return err;
}

/* An empty file becomes ours; a file of another program is left alone. */
static enum err version_read(struct db *db, int64_t *out, struct err_text *why)
{
    int64_t application = 0, tables = 0, versions = 0;
    enum err err = read_number(db, "PRAGMA application_id", &application, why);
    if (err == OK) {
        err = read_number(db, "SELECT count(*) FROM sqlite_schema", &tables, why);
    }
    if (err == OK) {
        err = read_number(db, "SELECT count(*) FROM sqlite_schema WHERE name = 'schema_version'",
                          &versions, why);
    }
    if (err != OK) {
        return err;
    }
    if (tables == 0) {
        *out = 0;
        return OK;
    }
    if (application != STORE_APPLICATION_ID || versions == 0) {
        return err_set(why, ERR_INVALID, "the file is a database of another program");
    }
    return read_number(db, "SELECT coalesce(max(version), 0) FROM schema_version", out, why);
}

static enum err migration_apply(struct db *db, const struct db_migration *m, struct err_text *why)
{
    char text[160];
    (void)snprintf(text, sizeof(text),
                   "INSERT INTO schema_version VALUES (%d, %lld);"
                   "PRAGMA application_id = %d",
                   m->version, (long long)time(NULL), STORE_APPLICATION_ID);
    enum err err = db_execute(db, "BEGIN IMMEDIATE", why);
    if (err != OK) {
        return err;
    }
    err = db_execute(db,
                     "CREATE TABLE IF NOT EXISTS schema_version ("
                     " version INTEGER PRIMARY KEY NOT NULL, applied_s INTEGER NOT NULL) STRICT",
                     why);
    if (err == OK) {
        err = db_execute(db, m->sql, why);
    }
    if (err == OK) {
        err = db_execute(db, text, why);
    }
    if (err == OK) {
        err = db_execute(db, "COMMIT", why);
    }
    if (err != OK && sqlite3_get_autocommit(db->handle) == 0) {
        (void)sqlite3_exec(db->handle, "ROLLBACK", NULL, NULL, NULL);
    }
    return err;
}

enum err db_migrate(struct db *db, const struct db_migration *migrations, size_t count,
                    struct err_text *why)
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
    for (size_t i = 0; err == OK && i < count; i++) {
        if (migrations[i].version > version) {
            err = migration_apply(db, &migrations[i], why);
        }
    }
    return err;
}

enum err db_migrate_store(struct db *db, struct err_text *why)
{
    return db_migrate(db, store_migrations, sizeof(store_migrations) / sizeof(store_migrations[0]),
                      why);
}
