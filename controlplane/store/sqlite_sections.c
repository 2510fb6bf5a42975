#include "controlplane/store/sqlite_sections.h"

/* Positions and sequences are added to: one that leaves no room for it is nobody's. */
static bool is_number(int64_t value)
{
    return value > 0 && value < INT64_MAX - STORE_BATCH_MAX;
}

enum err section_log_end_read(struct db *db, struct section_log_end *out)
{
    sqlite3_stmt *newest = NULL;
    bool row = false;
    enum err err = db_statement(db,
                                "SELECT position, count, length(hashes) FROM audit_batch"
                                " ORDER BY position DESC LIMIT 1",
                                &newest);
    if (err == OK) {
        err = db_step(db, newest, &row);
    }
    if (err != OK) {
        return err;
    }
    if (!row) {
        *out = (struct section_log_end){.has_hashes = true};
        return OK;
    }
    const int64_t position = sqlite3_column_int64(newest, 0);
    const int64_t count = sqlite3_column_int64(newest, 1);
    const int64_t size = sqlite3_column_int64(newest, 2);
    (void)sqlite3_reset(newest);
    if (position < 1 || position > INT64_MAX / 2 || count < 1 || count > BATCH_RECORDS_MAX) {
        return ERR_DENIED;
    }
    *out = (struct section_log_end){.position = (uint64_t)(position + count) - 1,
                                    .has_hashes = size == count * STORE_HASH_SIZE};
    return OK;
}

void section_reader_init(struct section_reader *reader, struct db *db)
{
    *reader = (struct section_reader){.db = db};
    buffer_init(&reader->hashes, (size_t)BATCH_RECORDS_MAX * STORE_HASH_SIZE);
}

void section_reader_finish(struct section_reader *reader)
{
    buffer_finish(&reader->hashes);
    reader->position = 0;
}

/* ---- the row -------------------------------------------------------------------------------- */

/* Searches rely on its keys: that they are between the two of the row, and near each other. */
static enum err head_read(sqlite3_stmt *row, int64_t key, struct arena *arena,
                          struct section_row *out)
{
    struct section_row s = {.key = key,
                            .last_key = sqlite3_column_int64(row, 0),
                            .position = sqlite3_column_int64(row, 1),
                            .session = sqlite3_column_int64(row, 2),
                            .identity = sqlite3_column_int64(row, 3),
                            .resource = sqlite3_column_int64(row, 4),
                            .form = (enum sqlite_form)sqlite3_column_int(row, 5)};
    out->position = is_number(s.position) ? s.position : 0;
    bool is_form =
        s.form == SQLITE_FORM_PLAIN || s.form == SQLITE_FORM_SEALED || s.form == SQLITE_FORM_ERASED;
    if (!is_number(s.position) || !is_form) {
        return ERR_DENIED;
    }
    enum err err = section_head_open(db_column_bytes(row, 6), key, arena, &s.records, &s.count);
    if (err != OK) {
        return err;
    }
    if (s.count == 0 || s.records[s.count - 1].key != s.last_key ||
        (uint64_t)s.last_key - (uint64_t)key > SECTION_SPAN_NS_MAX) {
        return ERR_DENIED;
    }
    *out = s;
    return OK;
}

enum err section_read_head(struct section_reader *reader, int64_t key, struct arena *arena,
                           struct section_row *out)
{
    sqlite3_stmt *get = NULL;
    bool row = false;
    out->position = 0;
    enum err err = db_statement(reader->db,
                                "SELECT last_key, batch, session, identity, resource, form, head"
                                " FROM audit_section WHERE key = ?1",
                                &get);
    if (err == OK) {
        db_bind_number(get, 1, key);
        err = db_step(reader->db, get, &row);
    }
    if (err == OK && !row) {
        return ERR_NOT_FOUND;
    }
    if (err == OK) {
        err = head_read(get, key, arena, out);
    }
    if (get != NULL) {
        (void)sqlite3_reset(get);
    }
    return err;
}

/* ---- its batch ------------------------------------------------------------------------------- */

static enum err batch_copy(struct section_reader *reader, sqlite3_stmt *row, int64_t position)
{
    struct bytes hashes = db_column_bytes(row, 4);
    int64_t sequence = sqlite3_column_int64(row, 1), count = sqlite3_column_int64(row, 3);
    if (count < 1 || count > BATCH_RECORDS_MAX || !is_number(sequence) ||
        hashes.size != (size_t)count * STORE_HASH_SIZE) {
        return ERR_DENIED;
    }
    buffer_clear(&reader->hashes);
    enum err err = buffer_append(&reader->hashes, hashes);
    if (err != OK) {
        return err;
    }
    reader->position = position;
    reader->stream = sqlite3_column_int64(row, 0);
    reader->sequence = sequence;
    reader->received_ns = sqlite3_column_int64(row, 2);
    reader->count = (size_t)count;
    return OK;
}

static enum err batch_read(struct section_reader *reader, int64_t position)
{
    sqlite3_stmt *get = NULL;
    bool row = false;
    if (reader->position == position) {
        return OK;
    }
    reader->position = 0;
    enum err err = db_statement(reader->db,
                                "SELECT stream, sequence, received_ns, count, hashes"
                                " FROM audit_batch WHERE position = ?1",
                                &get);
    if (err == OK) {
        db_bind_number(get, 1, position);
        err = db_step(reader->db, get, &row);
    }
    if (err == OK) {
        err = row ? batch_copy(reader, get, position) : ERR_DENIED;
    }
    if (get != NULL) {
        (void)sqlite3_reset(get);
    }
    return err;
}

static enum err hashes_copy(const struct section_reader *reader, const struct section_row *row,
                            struct arena *arena, uint8_t (**out)[STORE_HASH_SIZE])
{
    const uint8_t *batch = buffer_bytes(&reader->hashes).data;
    uint8_t(*hashes)[STORE_HASH_SIZE] = arena_alloc(arena, row->count * STORE_HASH_SIZE);
    if (hashes == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < row->count; i++) {
        if (row->records[i].at >= reader->count) {
            return ERR_DENIED;
        }
        memcpy(hashes[i], batch + (size_t)row->records[i].at * STORE_HASH_SIZE, STORE_HASH_SIZE);
    }
    *out = hashes;
    return OK;
}

static enum err content_read(struct section_reader *reader, int64_t key, struct arena *arena,
                             struct bytes *out)
{
    sqlite3_stmt *get = NULL;
    bool row = false, failed = false;
    enum err err =
        db_statement(reader->db, "SELECT content FROM audit_section WHERE key = ?1", &get);
    if (err == OK) {
        db_bind_number(get, 1, key);
        err = db_step(reader->db, get, &row);
    }
    if (err == OK && row) {
        *out = db_column_blob(get, 0, arena, &failed);
        (void)sqlite3_reset(get);
    }
    if (err == OK && failed) {
        err = ERR_NO_MEMORY;
    }
    return err == OK && !row ? ERR_NOT_FOUND : err;
}

enum err section_read_rest(struct section_reader *reader, struct arena *arena,
                           struct section_row *row)
{
    uint8_t(*hashes)[STORE_HASH_SIZE] = NULL;
    struct bytes stored = {0};
    enum err err = row->is_whole ? OK : batch_read(reader, row->position);
    if (err != OK || row->is_whole) {
        return err;
    }
    err = hashes_copy(reader, row, arena, &hashes);
    if (err == OK) {
        err = content_read(reader, row->key, arena, &stored);
    }
    if (err == OK) {
        row->stream = reader->stream;
        row->sequence = reader->sequence;
        row->received_ns = reader->received_ns;
        row->hashes = hashes;
        row->stored = stored;
        row->is_whole = true;
        if (row->form == SQLITE_FORM_SEALED) {
            section_hash(row->records, row->count,
                         (const uint8_t(*)[STORE_HASH_SIZE])buffer_bytes(&reader->hashes).data,
                         row->hash);
        }
    }
    return err;
}

enum err section_read(struct section_reader *reader, int64_t key, struct arena *arena,
                      struct section_row *out)
{
    struct section_row row = {0};
    enum err err = section_read_head(reader, key, arena, &row);
    if (err == OK) {
        err = section_read_rest(reader, arena, &row);
    }
    if (err == OK) {
        *out = row;
    } else {
        out->position = row.position;
    }
    return err;
}

/* ---- its content ----------------------------------------------------------------------------- */

/* The key of a session is bound to its name. */
static enum err session_name(struct db *db, int64_t id, struct arena *arena, const char **out)
{
    sqlite3_stmt *get = NULL;
    bool row = false, failed = false;
    enum err err = db_statement(db, "SELECT session FROM audit_session WHERE id = ?1", &get);
    if (err == OK) {
        db_bind_number(get, 1, id);
        err = db_step(db, get, &row);
    }
    if (err != OK || !row) {
        return err == OK ? ERR_DENIED : err;
    }
    *out = db_column_string(get, 0, arena, &failed);
    (void)sqlite3_reset(get);
    return failed ? ERR_NO_MEMORY : OK;
}

enum err section_open(struct section_reader *reader, const struct section_row *row,
                      struct arena *arena, struct section_content **out)
{
    struct content_row content = {.form = row->form,
                                  .session_id = row->session,
                                  .session = "",
                                  .count = row->count,
                                  .stored = row->stored};
    enum err err = OK;
    if (row->form == SQLITE_FORM_SEALED) {
        memcpy(content.hash, row->hash, STORE_HASH_SIZE);
        err = session_name(reader->db, row->session, arena, &content.session);
    }
    return err == OK ? sqlite_content_open(reader->db, &content, arena, out) : err;
}
