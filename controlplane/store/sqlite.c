#include "controlplane/store/sqlite.h"

#include "controlplane/store/sqlite_content.h"
#include "controlplane/store/sqlite_convert.h"
#include "controlplane/store/sqlite_tokens.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

const struct store_backend sqlite_backend;

/* ---- transactions ------------------------------------------------------------------------ */

enum err sqlite_write_begin(struct sqlite_store *s, struct db **out)
{
    (void)pthread_mutex_lock(&s->write_mutex);
    sqlite3_stmt *begin = NULL;
    enum err err = db_statement(&s->writer, "BEGIN IMMEDIATE", &begin);
    if (err == OK) {
        err = db_run(&s->writer, begin);
    }
    if (err != OK) {
        (void)pthread_mutex_unlock(&s->write_mutex);
        return err;
    }
    *out = &s->writer;
    return OK;
}

enum err sqlite_write_one(struct sqlite_store *s, const char *sql, struct db **out_db,
                          sqlite3_stmt **out)
{
    enum err err = sqlite_write_begin(s, out_db);
    if (err != OK) {
        return err;
    }
    err = db_statement(*out_db, sql, out);
    return err == OK ? OK : sqlite_write_end(s, err, NULL);
}

enum err sqlite_write_end(struct sqlite_store *s, enum err result, struct err_text *why)
{
    if (result == OK && sqlite3_exec(s->writer.handle, "COMMIT", NULL, NULL, NULL) != SQLITE_OK) {
        result = db_failed(&s->writer, why);
    }
    if (result != OK) {
        /* Some errors (a full disk) have rolled it back already. */
        if (sqlite3_get_autocommit(s->writer.handle) == 0) {
            (void)sqlite3_exec(s->writer.handle, "ROLLBACK", NULL, NULL, NULL);
        }
        /* Ids that were given in the transaction are not there any more. */
        bytes_wipe(s->sessions, sizeof(s->sessions));
    }
    (void)pthread_mutex_unlock(&s->write_mutex);
    return result;
}

struct db *sqlite_read_begin(struct sqlite_store *s)
{
    (void)pthread_mutex_lock(&s->read_mutex);
    while (s->free_count == 0) {
        (void)pthread_cond_wait(&s->reader_is_free, &s->read_mutex);
    }
    struct db *db = s->free_readers[--s->free_count];
    db->erasures = s->erasures;
    (void)pthread_mutex_unlock(&s->read_mutex);
    return db;
}

static void keys_wipe(struct db *db)
{
    bytes_wipe(db->keys, sizeof(db->keys));
}

void sqlite_read_end(struct sqlite_store *s, struct db *db)
{
    (void)pthread_mutex_lock(&s->read_mutex);
    if (db->erasures != s->erasures) {
        keys_wipe(db);
    }
    s->free_readers[s->free_count++] = db;
    (void)pthread_cond_signal(&s->reader_is_free);
    (void)pthread_mutex_unlock(&s->read_mutex);
}

void sqlite_keys_forget(struct sqlite_store *s)
{
    (void)pthread_mutex_lock(&s->read_mutex);
    s->erasures++;
    for (size_t i = 0; i < s->free_count; i++) {
        keys_wipe(s->free_readers[i]);
    }
    (void)pthread_mutex_unlock(&s->read_mutex);
    (void)pthread_mutex_lock(&s->write_mutex);
    keys_wipe(&s->writer);
    bytes_wipe(s->sessions, sizeof(s->sessions));
    (void)pthread_mutex_unlock(&s->write_mutex);
}

/* ---- opening ------------------------------------------------------------------------------ */

/* Made here so that it never exists with a wider mode; SQLite gives its -wal and -shm the same. */
static enum err file_prepare(const char *path, struct err_text *why)
{
    int fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC | O_NOFOLLOW, S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return err_set(why, ERR_IO, "cannot open the database %s: %s", path, strerror(errno));
    }
    enum err err = OK;
    struct stat status;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode)) {
        err = err_set(why, ERR_INVALID, "%s is not a regular file", path);
    } else if ((status.st_mode & 0777) != (S_IRUSR | S_IWUSR) &&
               fchmod(fd, S_IRUSR | S_IWUSR) != 0) {
        err = err_set(why, ERR_IO, "cannot set the mode of %s: %s", path, strerror(errno));
    }
    (void)close(fd);
    return err;
}

static enum err connection_open(struct db *db, const char *path, struct bytes master,
                                const char *settings, struct err_text *why)
{
    enum err err = content_create(master, &db->content);
    if (err != OK) {
        return err_set(why, err, "the key of the content is not %d bytes long", CONTENT_KEY_SIZE);
    }
    int flags = SQLITE_OPEN_READWRITE | SQLITE_OPEN_NOMUTEX | SQLITE_OPEN_EXRESCODE;
    if (sqlite3_open_v2(path, &db->handle, flags, NULL) != SQLITE_OK) {
        return db->handle == NULL ? ERR_NO_MEMORY : db_failed(db, why);
    }
    (void)sqlite3_busy_timeout(db->handle, STORE_BUSY_MS);
    (void)sqlite3_db_config(db->handle, SQLITE_DBCONFIG_DEFENSIVE, 1, NULL);
    err = db_execute(db, settings, why);
    if (err == OK) {
        err = section_packer_create(&db->packer);
    }
    return err == OK ? tokens_create(db->handle, &db->tokens) : err;
}

static void connection_close(struct db *db)
{
    for (size_t i = 0; i < db->kept_count; i++) {
        (void)sqlite3_finalize(db->kept[i].statement);
    }
    db->kept_count = 0;
    tokens_destroy(db->tokens);
    db->tokens = NULL;
    section_packer_destroy(db->packer);
    db->packer = NULL;
    (void)sqlite3_close(db->handle);
    db->handle = NULL;
    content_destroy(db->content);
    db->content = NULL;
    keys_wipe(db);
}

/* The whole of a small file is checked; of a large one its head, and the rest when it is read. */
static enum err damage_check(struct db *db, struct err_text *why)
{
    enum { SMALL_PAGES = 8192 };
    sqlite3_stmt *statement = NULL;
    if (sqlite3_prepare_v2(db->handle,
                           "SELECT CASE WHEN (SELECT page_count FROM pragma_page_count) > ?1"
                           " THEN 'ok' ELSE (SELECT group_concat(quick_check)"
                           " FROM pragma_quick_check(1)) END",
                           -1, &statement, NULL) != SQLITE_OK) {
        return db_failed(db, why);
    }
    enum err err = OK;
    db_bind_number(statement, 1, SMALL_PAGES);
    if (sqlite3_step(statement) != SQLITE_ROW) {
        err = db_failed(db, why);
    } else if (strcmp((const char *)sqlite3_column_text(statement, 0), "ok") != 0) {
        err = err_set(why, ERR_INVALID, "the database is damaged (%s): restore it from a backup",
                      (const char *)sqlite3_column_text(statement, 0));
    }
    (void)sqlite3_finalize(statement);
    return err;
}

static enum err writer_open(struct sqlite_store *s, const struct store_sqlite_options *options,
                            struct err_text *why)
{
    enum err err = connection_open(&s->writer, s->path, options->content_master,
                                   "PRAGMA trusted_schema = OFF;"
                                   "PRAGMA cell_size_check = ON;"
                                   "PRAGMA journal_mode = WAL;"
                                   "PRAGMA synchronous = FULL;"
                                   "PRAGMA foreign_keys = ON;"
                                   "PRAGMA temp_store = MEMORY;"
                                   "PRAGMA secure_delete = ON;"            /* what is erased, is */
                                   "PRAGMA cache_size = -65536;"           /* KiB */
                                   "PRAGMA wal_autocheckpoint = 4000;"     /* pages: 16 MiB */
                                   "PRAGMA journal_size_limit = 67108864", /* bytes */
                                   why);
    if (err == OK) {
        err = damage_check(&s->writer, why);
    }
    if (err == OK && options->page_count_max > 0) {
        char text[64];
        (void)snprintf(text, sizeof(text), "PRAGMA max_page_count = %lld",
                       (long long)options->page_count_max);
        err = db_execute(&s->writer, text, why);
    }
    if (err == OK) {
        err = db_migrate_store(&s->writer, why);
    }
    if (err == OK) {
        err = sqlite_content_check(&s->writer, why);
    }
    if (err == OK) {
        err = sqlite_convert(&s->writer, options->progress, why);
    }
    return err == OK ? sqlite_convert_marks(&s->writer, options->progress, why) : err;
}

static enum err readers_open(struct sqlite_store *s, int count, struct bytes master,
                             struct err_text *why)
{
    size_t wanted = count <= 0 ? 4 : (size_t)count;
    wanted = wanted > DB_READERS_MAX ? DB_READERS_MAX : wanted;
    for (; s->reader_count < wanted; s->reader_count++) {
        struct db *db = &s->readers[s->reader_count];
        enum err err = connection_open(db, s->path, master,
                                       "PRAGMA trusted_schema = OFF;"
                                       "PRAGMA cell_size_check = ON;"
                                       "PRAGMA temp_store = MEMORY;"
                                       /* The words of the index, in order: sqlite_words.c. */
                                       "CREATE VIRTUAL TABLE temp.audit_term USING"
                                       " fts5vocab('main', 'audit_words', 'instance');"
                                       "PRAGMA query_only = ON;"
                                       "PRAGMA cache_size = -16384",
                                       why);
        if (err != OK) {
            connection_close(db);
            return err;
        }
        s->free_readers[s->free_count++] = db;
    }
    return OK;
}

static void sqlite_close(struct store *store)
{
    struct sqlite_store *s = sqlite_of(store);
    for (size_t i = 0; i < s->reader_count; i++) {
        connection_close(&s->readers[i]);
    }
    /* The last connection to close moves the -wal into the file. */
    connection_close(&s->writer);
    (void)pthread_cond_destroy(&s->reader_is_free);
    (void)pthread_mutex_destroy(&s->read_mutex);
    (void)pthread_mutex_destroy(&s->write_mutex);
    bytes_wipe(s->sessions, sizeof(s->sessions));
    free(s->path);
    free(s);
}

enum err store_open_sqlite(const char *path, const struct store_sqlite_options *options,
                           struct store **out, struct err_text *why)
{
    static const struct store_sqlite_options defaults = {0};
    options = options == NULL ? &defaults : options;
    enum err err = file_prepare(path, why);
    if (err != OK) {
        return err;
    }
    /* Nobody asks how much memory SQLite has: counting it costs a lock for each allocation. Of a
     * second store it is refused, and is so already. */
    (void)sqlite3_config(SQLITE_CONFIG_MEMSTATUS, 0);
    struct sqlite_store *s = calloc(1, sizeof(*s));
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    s->store.backend = &sqlite_backend;
    (void)pthread_mutex_init(&s->write_mutex, NULL);
    (void)pthread_mutex_init(&s->read_mutex, NULL);
    (void)pthread_cond_init(&s->reader_is_free, NULL);
    s->path = strdup(path);
    err = s->path == NULL ? ERR_NO_MEMORY : writer_open(s, options, why);
    if (err == OK) {
        err = readers_open(s, options->readers, options->content_master, why);
    }
    if (err != OK) {
        sqlite_close(&s->store);
        return err;
    }
    *out = &s->store;
    return OK;
}

const struct store_backend sqlite_backend = {
    .close = sqlite_close,
    .documents_replace = sqlite_documents_replace,
    .document_put = sqlite_document_put,
    .document_get = sqlite_document_get,
    .document_list = sqlite_document_list,
    .secret_put = sqlite_secret_put,
    .secret_get = sqlite_secret_get,
    .secret_list = sqlite_secret_list,
    .secret_delete = sqlite_secret_delete,
    .sidecar_add = sqlite_sidecar_add,
    .sidecar_renew = sqlite_sidecar_renew,
    .sidecar_news = sqlite_sidecar_news,
    .sidecar_get = sqlite_sidecar_get,
    .sidecar_list = sqlite_sidecar_list,
    .sidecar_revoke = sqlite_sidecar_revoke,
    .sidecar_find_revoked = sqlite_sidecar_find_revoked,
    .join_token_add = sqlite_join_token_add,
    .join_token_use = sqlite_join_token_use,
    .policy_add = sqlite_policy_add,
    .policy_get = sqlite_policy_get,
    .audit_append = sqlite_audit_append,
    .audit_last = sqlite_audit_last,
    .audit_count = sqlite_audit_count,
    .audit_nth_newest = sqlite_audit_nth_newest,
    .audit_page = sqlite_audit_page,
    .audit_follow = sqlite_audit_follow,
    .audit_at = sqlite_audit_at,
    .log_read = sqlite_log_read,
    .checkpoint_add = sqlite_checkpoint_add,
    .checkpoint_set_note = sqlite_checkpoint_set_note,
    .checkpoint_from = sqlite_checkpoint_from,
    .checkpoint_latest = sqlite_checkpoint_latest,
    .duty_hold = sqlite_duty_hold,
    .news_listen = sqlite_news_listen,
    .cursor_get = sqlite_cursor_get,
    .cursor_set = sqlite_cursor_set,
    .issuer_key_seen = sqlite_issuer_key_seen,
    .issuer_key_list = sqlite_issuer_key_list,
    .blob_add = sqlite_blob_add,
    .blob_drop = sqlite_blob_drop,
    .blob_claim = sqlite_blob_claim,
    .blob_forget = sqlite_blob_forget,
    .legal_hold_add = sqlite_legal_hold_add,
    .legal_hold_lift = sqlite_legal_hold_lift,
    .legal_hold_list = sqlite_legal_hold_list,
    .audit_erase = sqlite_audit_erase,
    .audit_resources = sqlite_audit_resources,
    .approval_add = sqlite_approval_add,
    .approval_change = sqlite_approval_change,
    .approval_get = sqlite_approval_get,
    .approval_used_by = sqlite_approval_used_by,
    .approval_same = sqlite_approval_same,
    .approval_answer = sqlite_approval_answer,
    .approval_list = sqlite_approval_list,
    .approval_list_due = sqlite_approval_list_due,
    .approval_next_due = sqlite_approval_next_due,
    .approval_events = sqlite_approval_events,
    .approval_cursor = sqlite_approval_cursor,
    .standing_find = sqlite_standing_find,
    .standing_get = sqlite_standing_get,
    .standing_list = sqlite_standing_list,
    .standing_revoke = sqlite_standing_revoke,
    .link_code_add = sqlite_link_code_add,
    .link_confirm = sqlite_link_confirm,
    .link_get = sqlite_link_get,
    .link_remove = sqlite_link_remove,
    .block_add = sqlite_block_add,
    .block_lift = sqlite_block_lift,
    .block_list = sqlite_block_list,
    .session_list = sqlite_session_list,
    .session_count_open = sqlite_session_count_open,
    .session_list_open = sqlite_session_list_open,
    .session_get = sqlite_session_get,
};
