#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/sqlite_batch.h"
#include "controlplane/store/sqlite_content.h"
#include "controlplane/store/sqlite_tokens.h"

enum { SESSIONS = 3, START = 1000000, RECORDS_MAX = 8192, PAYLOAD = SECTION_BYTES_MAX + 100 };

/* A database as a store has it, with three sessions of one stream; their names are 1 to 4. */
struct fixture {
    struct db db;
    struct batch batch;
    struct batch_session sessions[SESSIONS];
    struct arena *arena;
    uint8_t *payload;
};

static void setup_connection(struct fixture *f)
{
    assert_int_equal(sqlite3_open(":memory:", &f->db.handle), SQLITE_OK);
    assert_int_equal(db_execute(&f->db, "PRAGMA foreign_keys = ON", NULL), OK);
    assert_int_equal(db_migrate_store(&f->db, NULL), OK);
    assert_int_equal(content_create((struct bytes){0}, &f->db.content), OK);
    assert_int_equal(section_packer_create(&f->db.packer), OK);
    assert_int_equal(tokens_create(f->db.handle, &f->db.tokens), OK);
}

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    setup_connection(f);
    assert_int_equal(
        db_execute(&f->db,
                   "INSERT INTO audit_stream (id, sidecar, last_sequence, last_hash, last_key)"
                   " VALUES (1, 's1', 0, zeroblob(32), 0);"
                   "INSERT INTO audit_name VALUES (1, 'a'), (2, 'b'), (3, 'c'), (4, 'd');"
                   "INSERT INTO audit_table VALUES (1, 3, 'public.c'), (2, 3, 'sales.c'),"
                   " (3, 4, 'd');"
                   "INSERT INTO audit_session (id, session, stream, on_behalf_of, protocol,"
                   " database, agent_address, opened_ns, closed_ns, operations, state,"
                   " close_reason) SELECT value, 'x' || value, 1, '', '', '', '', 0, 0, 0, 'open',"
                   " '' FROM json_each('[1,2,3]')",
                   NULL),
        OK);
    for (int64_t i = 0; i < SESSIONS; i++) {
        char name[8];
        f->sessions[i] = (struct batch_session){
            .id = i + 1, .identity = 1, .resource = 2, .form = SQLITE_FORM_SEALED};
        (void)snprintf(name, sizeof(name), "x%d", (int)i + 1);
        assert_int_equal(
            sqlite_content_key(&f->db, i + 1, bytes_of_string(name), f->sessions[i].key), OK);
    }
    assert_int_equal(batch_init(&f->batch, RECORDS_MAX), OK);
    f->batch.stream = 1;
    f->batch.position = 1;
    f->batch.sequence = 1;
    f->batch.received_ns = 7;
    f->arena = arena_create(1 << 20, SIZE_MAX / 2);
    f->payload = malloc(PAYLOAD);
    assert_true(f->arena != NULL && f->payload != NULL);
    memset(f->payload, 'x', PAYLOAD);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    batch_finish(&f->batch);
    for (size_t i = 0; i < f->db.kept_count; i++) {
        (void)sqlite3_finalize(f->db.kept[i].statement);
    }
    tokens_destroy(f->db.tokens);
    section_packer_destroy(f->db.packer);
    content_destroy(f->db.content);
    (void)sqlite3_close(f->db.handle);
    arena_destroy(f->arena);
    free(f->payload);
    free(f);
    return 0;
}

/* The hash of the record of this sequence. */
static void hash_make(uint64_t sequence, uint8_t out[STORE_HASH_SIZE])
{
    memset(out, 0, STORE_HASH_SIZE);
    memcpy(out, &sequence, sizeof(sequence));
}

static struct batch_row *add(struct fixture *f, const struct batch_session *session, int64_t key,
                             const char *text)
{
    struct batch_row *row = &f->batch.rows[f->batch.count++];
    *row = (struct batch_row){.key = key,
                              .kind = STORE_INTENT,
                              .verdict = 1,
                              .canonical = bytes_of("bytes", 5),
                              .text = bytes_of_string(text),
                              .tables_at = f->batch.table_count};
    hash_make((uint64_t)f->batch.sequence + f->batch.count - 1, row->hash);
    assert_int_equal(batch_add_session(&f->batch, session, &row->session), OK);
    return row;
}

static void add_table(struct fixture *f, struct batch_row *row, int64_t name, int64_t full)
{
    const struct section_table table = {.name = name, .full = full};
    assert_int_equal(batch_add_table(&f->batch, table), OK);
    row->table_count++;
}

static int64_t number(struct fixture *f, const char *sql)
{
    sqlite3_stmt *statement = NULL;
    assert_int_equal(sqlite3_prepare_v2(f->db.handle, sql, -1, &statement, NULL), SQLITE_OK);
    assert_int_equal(sqlite3_step(statement), SQLITE_ROW);
    int64_t value = sqlite3_column_int64(statement, 0);
    (void)sqlite3_finalize(statement);
    return value;
}

struct section {
    int64_t key, last_key, position;
    struct section_record *records;
    struct section_content *contents;
    size_t count;
    struct batch_session session;
};

static void section_check(struct fixture *f, sqlite3_stmt *row, struct section *out)
{
    char session[8] = "";
    struct bytes head = bytes_of(sqlite3_column_blob(row, 7), (size_t)sqlite3_column_bytes(row, 7));
    *out = (struct section){
        .key = sqlite3_column_int64(row, 0),
        .last_key = sqlite3_column_int64(row, 1),
        .position = sqlite3_column_int64(row, 2),
        .session = {.id = sqlite3_column_int64(row, 3),
                    .identity = sqlite3_column_int64(row, 4),
                    .resource = sqlite3_column_int64(row, 5),
                    .form = (enum sqlite_form)sqlite3_column_int64(row, 6)},
    };
    (void)snprintf(session, sizeof(session), "x%d", (int)out->session.id);
    assert_int_equal(section_head_open(head, out->key, f->arena, &out->records, &out->count), OK);
    assert_true(out->count >= 1 && out->count <= SECTION_RECORDS_MAX);
    assert_int_equal(out->records[0].key, out->key);
    assert_int_equal(out->records[out->count - 1].key, out->last_key);
    assert_true(out->last_key - out->key <= SECTION_SPAN_NS_MAX);
    struct content_row content = {
        .form = out->session.form,
        .session_id = out->session.id,
        .session = session,
        .count = out->count,
        .stored = bytes_of(sqlite3_column_blob(row, 8), (size_t)sqlite3_column_bytes(row, 8))};
    section_hash(out->records, out->count, sqlite3_column_blob(row, 9), content.hash);
    assert_int_equal(sqlite_content_open(&f->db, &content, f->arena, &out->contents), OK);
}

/* All sections, whose heads and contents open. */
static size_t sections_read(struct fixture *f, struct section *out, size_t max)
{
    sqlite3_stmt *all = NULL;
    size_t count = 0;
    assert_int_equal(sqlite3_prepare_v2(f->db.handle,
                                        "SELECT s.key, last_key, s.batch, session, identity,"
                                        " resource, form, head, content, b.hashes"
                                        " FROM audit_section s JOIN audit_batch b ON"
                                        " b.position = s.batch ORDER BY s.key",
                                        -1, &all, NULL),
                     SQLITE_OK);
    while (sqlite3_step(all) == SQLITE_ROW) {
        assert_true(count < max);
        section_check(f, all, &out[count++]);
    }
    (void)sqlite3_finalize(all);
    return count;
}

/* Every row of the batch is in one section, that of its session. */
static void records_check(const struct fixture *f, const struct section *sections, size_t count)
{
    size_t found = 0;
    for (size_t i = 0; i < count; i++) {
        const struct section *s = &sections[i];
        size_t bytes = 0;
        for (size_t n = 0; n < s->count; n++, found++) {
            size_t at = (size_t)(s->position - f->batch.position) + s->records[n].at;
            assert_true(at < f->batch.count);
            const struct batch_row *row = &f->batch.rows[at];
            assert_int_equal(s->records[n].key, row->key);
            assert_int_equal(s->session.id, f->batch.sessions[row->session].id);
            assert_int_equal(s->session.identity, f->batch.sessions[row->session].identity);
            assert_true(bytes_equal(s->contents[n].canonical, row->canonical));
            assert_true(bytes_equal(s->contents[n].text, row->text));
            bytes += row->canonical.size + row->text.size;
        }
        assert_true(s->count == 1 || bytes <= SECTION_BYTES_MAX);
    }
    assert_int_equal(found, f->batch.count);
}

/* ---- sections ---- */

static void test_each_session_of_a_batch_is_a_section(void **state)
{
    enum { RECORDS = 300, SECTIONS = SESSIONS + 1 };
    static const struct batch_session none = {.form = SQLITE_FORM_PLAIN};
    struct fixture *f = *state;
    struct section sections[SECTIONS];
    for (int64_t i = 0; i < RECORDS; i++) {
        int64_t session = i % SECTIONS;
        (void)add(f, session == SESSIONS ? &none : &f->sessions[session], START + 10 * i,
                  i % 2 == 0 ? "select 1" : "");
    }
    assert_int_equal(batch_write(&f->db, &f->batch, 0, RECORDS), OK);
    assert_int_equal(sections_read(f, sections, SECTIONS), SECTIONS);
    records_check(f, sections, SECTIONS);
    assert_int_equal(number(f, "SELECT count FROM audit_batch WHERE position = 1"), RECORDS);
    assert_int_equal(number(f, "SELECT length(hashes) FROM audit_batch"), RECORDS * 32);
    assert_int_equal(number(f, "SELECT received_ns FROM audit_batch"), 7);
}

static void test_a_section_keeps_its_limits(void **state)
{
    enum { SECTIONS_MAX = 64 };
    struct fixture *f = *state;
    struct section sections[SECTIONS_MAX];
    int64_t key = START;
    for (int i = 0; i < 2 * SECTION_RECORDS_MAX; i++) { /* records */
        (void)add(f, &f->sessions[0], key++, "a");
    }
    for (int i = 0; i < 10; i++, key += SECTION_SPAN_NS_MAX / 4) { /* time */
        (void)add(f, &f->sessions[1], key, "b");
    }
    for (int i = 0; i < 10; i++) { /* bytes, and one record that alone has more */
        size_t size = i == 5 ? PAYLOAD : PAYLOAD / 4;
        add(f, &f->sessions[2], key++, "c")->canonical = bytes_of(f->payload, size);
    }
    assert_int_equal(batch_write(&f->db, &f->batch, 0, f->batch.count), OK);
    size_t count = sections_read(f, sections, SECTIONS_MAX);
    records_check(f, sections, count);
    /* 512 and 512; 5 and 5; 3, 2, the large one, 3, 1 */
    assert_int_equal(count, 2 + 2 + 5);
}

static void test_a_session_is_kept_as_it_was_at_each_record(void **state)
{
    struct fixture *f = *state;
    struct section sections[2];
    struct batch_session before = f->sessions[0];
    before.identity = 0;
    before.resource = 0;
    (void)add(f, &before, START, "early");
    (void)add(f, &f->sessions[0], START + 1, "late");
    assert_int_equal(batch_write(&f->db, &f->batch, 0, 2), OK);
    assert_int_equal(sections_read(f, sections, 2), 2);
    records_check(f, sections, 2);
    assert_int_equal(number(f, "SELECT key FROM audit_tag WHERE kind = 2 AND value = 1"),
                     START + 1);
    assert_int_equal(number(f, "SELECT count(*) FROM audit_tag WHERE kind = 1 AND value = 1"), 2);
}

static void test_many_sessions_in_one_batch(void **state)
{
    enum { MANY = 5000 };
    struct fixture *f = *state;
    for (int64_t i = 0; i < 2 * MANY; i++) {
        struct batch_session session = {.id = 1 + i % MANY};
        size_t at = 0;
        assert_int_equal(batch_add_session(&f->batch, &session, &at), OK);
        assert_int_equal(at, i % MANY);
    }
    assert_int_equal(f->batch.session_count, MANY);
    batch_clear(&f->batch);
    struct batch_session session = {.id = MANY};
    size_t at = 1;
    assert_int_equal(batch_add_session(&f->batch, &session, &at), OK);
    assert_int_equal(at, 0);
}

static void test_a_long_batch_is_several_rows(void **state)
{
    enum { RECORDS = BATCH_RECORDS_MAX + 100, SECTIONS_MAX = 16 };
    struct fixture *f = *state;
    struct section sections[SECTIONS_MAX];
    for (int64_t i = 0; i < RECORDS; i++) {
        (void)add(f, &f->sessions[i % 2], START + i, "select");
    }
    assert_int_equal(batch_write(&f->db, &f->batch, 0, RECORDS), ERR_INVALID);
    assert_int_equal(batch_write(&f->db, &f->batch, 0, BATCH_RECORDS_MAX), OK);
    assert_int_equal(batch_write(&f->db, &f->batch, BATCH_RECORDS_MAX, 100), OK);
    records_check(f, sections, sections_read(f, sections, SECTIONS_MAX));
    assert_int_equal(number(f, "SELECT count FROM audit_batch WHERE position = 2049"), 100);
    assert_int_equal(number(f, "SELECT sequence FROM audit_batch WHERE position = 2049"), 2049);
}

/* ---- what they are found by ---- */

static void test_a_section_is_found_by_what_its_records_are_about(void **state)
{
    struct fixture *f = *state;
    struct batch_row *row = add(f, &f->sessions[0], START, "select Total from orders");
    add_table(f, row, 3, 1);
    add_table(f, row, 3, 2);
    row = add(f, &f->sessions[0], START + 1, "select total");
    row->verdict = 2;
    add_table(f, row, 3, 1);
    add_table(f, row, 4, 3);
    add(f, &f->sessions[0], START + 2, "")->kind = STORE_OUTCOME;
    add(f, &f->sessions[0], START + 3, "")->kind = STORE_SESSION_CLOSED;
    add(f, &f->sessions[1], START + 4, "")->kind = STORE_SESSION_OPENED;
    assert_int_equal(batch_write(&f->db, &f->batch, 0, f->batch.count), OK);
    sqlite3_stmt *tags = NULL;
    static const int64_t expected[][3] = {
        {1, 1, START}, {1, 2, START + 4},  {2, 1, START},  {2, 1, START + 4},
        {3, 2, START}, {3, 2, START + 4},  {4, 3, START},  {4, 4, START},
        {5, 2, START}, {6, 10, START + 4}, {6, 14, START},
    };
    enum { TAGS = sizeof(expected) / sizeof(expected[0]) };
    assert_int_equal(sqlite3_prepare_v2(f->db.handle,
                                        "SELECT kind, value, key FROM audit_tag ORDER BY 1, 2, 3",
                                        -1, &tags, NULL),
                     SQLITE_OK);
    for (size_t i = 0; i < TAGS; i++) {
        assert_int_equal(sqlite3_step(tags), SQLITE_ROW);
        for (int n = 0; n < 3; n++) {
            assert_int_equal(sqlite3_column_int64(tags, n), expected[i][n]);
        }
    }
    assert_int_equal(sqlite3_step(tags), SQLITE_DONE);
    (void)sqlite3_finalize(tags);
    assert_int_equal(number(f, "SELECT rowid FROM audit_words('text: total AND tag: t4')"), START);
    assert_int_equal(number(f, "SELECT count(*) FROM audit_words('tag: s1 AND i1 AND r2 AND v2')"),
                     1);
    /* Without a word it is not there. */
    assert_int_equal(number(f, "SELECT count(*) FROM audit_words('tag: s2')"), 0);
}

static void document_make(struct fixture *f, const char *const *texts, size_t count,
                          struct batch_document *out)
{
    static const struct section_table tables[] = {{3, 1}, {4, 3}, {3, 2}};
    struct section_record records[4] = {{.verdict = 1, .tables = tables, .table_count = 3},
                                        {.verdict = 2, .tables = tables, .table_count = 3},
                                        {.verdict = 0},
                                        {.verdict = 1}};
    struct section_content contents[4];
    for (size_t i = 0; i < count; i++) {
        contents[i] = (struct section_content){.text = bytes_of_string(texts[i])};
    }
    assert_int_equal(batch_document_make(&f->db, 7, 0, 12, records, contents, count, out), OK);
}

static void test_a_document_has_each_word_once_and_is_the_same_again(void **state)
{
    static const char *const texts[] = {"select a from b", "SELECT c from b", "", "delete"};
    static const char *const others[] = {"something else"}, *const none[] = {"", "<>"};
    struct batch_document document;
    struct fixture *f = *state;
    assert_int_equal(batch_document_init(&document), OK);
    for (int i = 0; i < 2; i++) {
        document_make(f, others, 1, &document);
        document_make(f, texts, 4, &document);
        assert_true(bytes_equal_string(buffer_bytes(&document.text), "select a from b c delete "));
        assert_true(bytes_equal_string(buffer_bytes(&document.tag), "s7 r12 t3 t4 v1 v2 "));
    }
    document_make(f, none, 2, &document);
    assert_int_equal(buffer_size(&document.text), 0);
    batch_document_finish(&document);
}

/* Each word of one that is not in the other yet. */
static void words_merge(struct buffer *words, struct bytes more)
{
    while (more.size > 0) {
        const uint8_t *space = memchr(more.data, ' ', more.size);
        assert_non_null(space);
        struct bytes word = bytes_of(more.data, (size_t)(space - more.data) + 1);
        struct bytes all = buffer_bytes(words);
        bool is_there = false;
        while (!is_there && all.size > 0) {
            space = memchr(all.data, ' ', all.size);
            struct bytes one = bytes_of(all.data, (size_t)(space - all.data) + 1);
            is_there = bytes_equal(one, word);
            all = bytes_of(all.data + one.size, all.size - one.size);
        }
        if (!is_there) {
            assert_int_equal(buffer_append(words, word), OK);
        }
        more = bytes_of(more.data + word.size, more.size - word.size);
    }
}

/* Texts that have much in common, as statements have: together they have the words that they have
 * one by one. */
static void test_no_word_is_missed_in_texts_that_are_alike(void **state)
{
    static const char *const parts[] = {"a",        "b",    " ",   ".",       "ab",
                                        "\xc3\xa4", "\xc3", " c ", "\xcc\x81"};
    enum { ROUNDS = 3000, TEXTS = 3, PARTS = 9, TEXT_SIZE = 64 };
    struct fixture *f = *state;
    struct batch_document alone, together;
    struct buffer expected;
    uint64_t random = 777;
    assert_int_equal(batch_document_init(&alone), OK);
    assert_int_equal(batch_document_init(&together), OK);
    buffer_init(&expected, 1 << 16);
    for (int round = 0; round < ROUNDS; round++) {
        char texts[TEXTS][TEXT_SIZE] = {""};
        const char *all[TEXTS];
        buffer_clear(&expected);
        for (int i = 0; i < TEXTS; i++) {
            all[i] = texts[i];
            for (int n = 0; n < 8; n++) {
                random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
                (void)strcat(texts[i], parts[(random >> 33) % PARTS]);
            }
            document_make(f, &all[i], 1, &alone);
            words_merge(&expected, buffer_bytes(&alone.text));
        }
        document_make(f, all, TEXTS, &together);
        assert_true(bytes_equal(buffer_bytes(&together.text), buffer_bytes(&expected)));
    }
    buffer_finish(&expected);
    batch_document_finish(&alone);
    batch_document_finish(&together);
}

/* ---- keys ---- */

static void write_and_clear(struct fixture *f)
{
    struct batch *b = &f->batch;
    for (size_t from = 0; from < b->count; from += BATCH_RECORDS_MAX) {
        size_t left = b->count - from;
        assert_int_equal(
            batch_write(&f->db, b, from, left < BATCH_RECORDS_MAX ? left : BATCH_RECORDS_MAX), OK);
    }
    b->position += (int64_t)b->count;
    b->sequence += (int64_t)b->count;
    batch_clear(b);
}

static void test_a_key_that_is_taken_is_moved_and_no_other(void **state)
{
    struct fixture *f = *state;
    static const int64_t taken[] = {START, START + 10, START + 20, START + 30, START + 1000000};
    static const int64_t wanted[] = {START - 5, START + 5, START + 20, START + 40, START + 100000};
    for (size_t i = 0; i < 5; i++) {
        (void)add(f, &f->sessions[0], taken[i], "");
    }
    write_and_clear(f);
    for (size_t i = 0; i < 5; i++) {
        (void)add(f, &f->sessions[0], wanted[i], "");
    }
    assert_int_equal(batch_choose_keys(&f->db, &f->batch), OK);
    for (size_t i = 0; i < 5; i++) {
        if (wanted[i] == START + 20) {
            assert_true(f->batch.rows[i].key > wanted[i] && f->batch.rows[i].key < START + 30);
        } else {
            assert_int_equal(f->batch.rows[i].key, wanted[i]);
        }
    }
}

static int key_compare(const void *a, const void *b)
{
    int64_t x = *(const int64_t *)a, y = *(const int64_t *)b;
    return (x > y) - (x < y);
}

/* Streams whose times lie in each other: near, far apart, all the same. */
static void test_keys_are_unique_and_ascend_whatever_the_times_are(void **state)
{
    enum { BATCHES = 120, RECORDS = 50 };
    static const int64_t steps[] = {1, 2, 1000, SECTION_SPAN_NS_MAX / 3, 2 * SECTION_SPAN_NS_MAX};
    struct fixture *f = *state;
    int64_t *keys = calloc(BATCHES * RECORDS, sizeof(*keys));
    uint64_t random = 12345;
    size_t count = 0;
    assert_non_null(keys);
    for (size_t i = 0; i < BATCHES; i++) {
        int64_t key = START + (int64_t)(i % 7) * 3;
        for (size_t n = 0; n < RECORDS; n++) {
            (void)add(f, &f->sessions[n % SESSIONS], key, "");
            random = random * UINT64_C(6364136223846793005) + 1442695040888963407U;
            key += 1 + (int64_t)((random >> 33) % (uint64_t)steps[i % 5]);
        }
        assert_int_equal(batch_choose_keys(&f->db, &f->batch), OK);
        for (size_t n = 0; n < RECORDS; n++) {
            assert_true(n == 0 || f->batch.rows[n].key > f->batch.rows[n - 1].key);
            keys[count++] = f->batch.rows[n].key;
        }
        write_and_clear(f);
    }
    qsort(keys, count, sizeof(*keys), key_compare);
    for (size_t i = 1; i < count; i++) {
        assert_true(keys[i] > keys[i - 1]);
    }
    free(keys);
}

/* The newest record is not in the section that begins last. */
static void test_a_section_that_ends_last_keeps_its_keys(void **state)
{
    static const struct batch_session none = {.form = SQLITE_FORM_PLAIN};
    struct fixture *f = *state;
    (void)add(f, &f->sessions[0], START, "");
    (void)add(f, &f->sessions[1], START + 10, "");
    (void)add(f, &f->sessions[0], START + 1000, "");
    write_and_clear(f);
    for (int i = 0; i < 2; i++) { /* it is told again by what was written since */
        (void)add(f, &none, START + 1000, "");
        assert_int_equal(batch_choose_keys(&f->db, &f->batch), OK);
        assert_true(f->batch.rows[0].key > START + 1000);
        write_and_clear(f);
    }
    (void)add(f, &none, START + 1000000, "");
    assert_int_equal(batch_choose_keys(&f->db, &f->batch), OK);
    assert_int_equal(f->batch.rows[0].key, START + 1000000);
    write_and_clear(f);
    (void)add(f, &none, START + 1000000, "");
    assert_int_equal(batch_choose_keys(&f->db, &f->batch), OK);
    assert_true(f->batch.rows[0].key > START + 1000000);
}

/* Nobody can tell the keys of a head that was changed; records go on. */
static void test_a_section_that_was_changed_stops_no_stream(void **state)
{
    struct fixture *f = *state;
    for (int64_t i = 0; i < 3; i++) {
        (void)add(f, &f->sessions[0], START + 10 * i, "");
    }
    write_and_clear(f);
    assert_int_equal(db_execute(&f->db, "UPDATE audit_section SET head = x'0102'", NULL), OK);
    for (int64_t i = 0; i < 3; i++) {
        (void)add(f, &f->sessions[0], START + 10 * i, "");
    }
    assert_int_equal(batch_choose_keys(&f->db, &f->batch), OK);
    assert_true(f->batch.rows[0].key != START); /* that of its row */
    write_and_clear(f);
}

int main(void)
{
#define BATCH_TEST(test) cmocka_unit_test_setup_teardown(test, setup, teardown)
    const struct CMUnitTest tests[] = {
        BATCH_TEST(test_each_session_of_a_batch_is_a_section),
        BATCH_TEST(test_a_section_keeps_its_limits),
        BATCH_TEST(test_a_session_is_kept_as_it_was_at_each_record),
        BATCH_TEST(test_many_sessions_in_one_batch),
        BATCH_TEST(test_a_long_batch_is_several_rows),
        BATCH_TEST(test_a_section_is_found_by_what_its_records_are_about),
        BATCH_TEST(test_a_document_has_each_word_once_and_is_the_same_again),
        BATCH_TEST(test_no_word_is_missed_in_texts_that_are_alike),
        BATCH_TEST(test_a_key_that_is_taken_is_moved_and_no_other),
        BATCH_TEST(test_keys_are_unique_and_ascend_whatever_the_times_are),
        BATCH_TEST(test_a_section_that_ends_last_keeps_its_keys),
        BATCH_TEST(test_a_section_that_was_changed_stops_no_stream),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
