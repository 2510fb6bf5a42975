/* Both stores are given the same records, of any bytes, and asked the same questions: their answers
 * must be the same. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/postgres/postgres.h"
#include "controlplane/store/postgres/test_server.h"
#include "controlplane/store/store_records.h"

enum { STREAMS = 4, BATCH = 40, BATCHES = 60, QUESTIONS = 400, TABLES_MAX = 3 };

struct both {
    struct test_server server;
    char directory[64], path[96];
    struct store *sqlite, *postgres;
    struct arena *arena;
    uint64_t seed;
};

/* SplitMix64: the same questions each time. */
static uint64_t draw(struct both *b, uint64_t below)
{
    uint64_t z = (b->seed += UINT64_C(0x9e3779b97f4a7c15));
    z = (z ^ z >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    z = (z ^ z >> 27) * UINT64_C(0x94d049bb133111eb);
    return (z ^ z >> 31) % below;
}

static const char *const words[] = {
    "select",
    "SELECT",
    "orders",
    "customer_id",
    "cust",
    "from",
    "Gr\xc3\xbc\xc3\x9f"
    "e",
    "gr\xc3\xbc\xc3\x9f"
    "e",
    "\xc3\x89t\xc3\xa9",
    "17",
    "1",
    "\xff\xfe",
    "a.b.c",
    "\"quo ted\"",
    "'",
    "*",
    "x*",
    "\xe6\x97\xa5\xe6\x9c\xac",
    "\xf0\x9f\x98\x80",
    "o'neil",
    "--",
    "\xc2\xb5m",
    "\xce\xbcm",
    "\x80tail",
    "caf\xc3\xa9",
    "cafe",
    "i1",
    "=i1",
    "=v1",
    "e\xcc\x81",
    "_",
    "__init__",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa1",
    "aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa2",
    "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6"
    "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6"
    "\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6\xd0\xb6",
};
enum { WORDS = sizeof(words) / sizeof(words[0]) };
static const char *const identities[] = {"alice", "bob",
                                         "ca\xff"
                                         "rol",
                                         ""};
static const char *const resources[] = {"db1", "db2", ""};
static const char *const sessions[] = {"A", "B", "C", "D\xe9", ""};
static const struct {
    const char *name, *full;
} tables[] = {{"orders", "orders"},
              {"orders", "public.orders"},
              {"orders", "sales.orders"},
              {"customers", "customers"},
              {"gr\xc3\xb6\xc3\x9f"
               "e",
               "a.b.gr\xc3\xb6\xc3\x9f"
               "e"}};

/* Some words, sometimes with a NUL, in the arena. */
static struct bytes text_make(struct both *b)
{
    struct buffer text;
    buffer_init(&text, 1 << 16);
    for (uint64_t i = draw(b, 9); i > 0; i--) {
        assert_int_equal(buffer_append_string(&text, words[draw(b, WORDS)]), OK);
        assert_int_equal(buffer_append(&text, bytes_of(" \0(.,= \t" + draw(b, 8), 1)), OK);
    }
    size_t size = buffer_size(&text);
    uint8_t *copy = arena_alloc(b->arena, size + 1);
    assert_non_null(copy);
    if (size > 0) {
        memcpy(copy, buffer_bytes(&text).data, size);
    }
    buffer_finish(&text);
    return bytes_of(copy, size);
}

static void record_make(struct both *b, uint64_t stream, uint64_t sequence,
                        struct store_audit_record *r)
{
    static const enum store_audit_kind kinds[] = {STORE_INTENT,         STORE_INTENT,
                                                  STORE_OUTCOME,        STORE_SESSION_OPENED,
                                                  STORE_SESSION_CLOSED, STORE_HEARTBEAT};
    struct store_audit_table *t = arena_alloc(b->arena, TABLES_MAX * sizeof(*t));
    struct store_audit_opened *opened = arena_alloc(b->arena, sizeof(*opened));
    assert_true(t != NULL && opened != NULL);
    *r = records_make(stream, sequence, kinds[draw(b, 6)], sessions[draw(b, 5)]);
    /* Few times, so that many are the same; some long ago, some far away. */
    r->index.time_ns = records_start_ns + (int64_t)(draw(b, 400) * UINT64_C(1000000000));
    r->index.time_ns += draw(b, 20) == 0 ? INT64_C(-500000000000000000) : 0;
    r->index.time_ns = draw(b, 40) == 0 ? INT64_MAX : r->index.time_ns;
    r->canonical = text_make(b);
    r->index.verdict = (int)draw(b, 4);
    r->index.rows = draw(b, 3);
    if (r->index.kind == STORE_INTENT) {
        r->index.text = text_make(b);
        r->index.tables = t;
        r->index.table_count = draw(b, TABLES_MAX + 1);
        for (size_t i = 0; i < r->index.table_count; i++) {
            uint64_t which = draw(b, sizeof(tables) / sizeof(tables[0]));
            t[i].name = bytes_of_string(tables[which].name);
            t[i].full = bytes_of_string(tables[which].full);
        }
    }
    if (r->index.kind == STORE_SESSION_OPENED) {
        opened->identity = bytes_of_string(identities[draw(b, 4)]);
        opened->resource = bytes_of_string(resources[draw(b, 3)]);
        opened->refused = draw(b, 5) == 0;
        r->index.opened = opened;
    }
    r->index.has_no_sessions = draw(b, 30) == 0;
}

static void append(struct both *b, uint64_t stream, const struct store_audit_record *records,
                   size_t count)
{
    struct store_audit_appended one, other;
    char sidecar[16];
    (void)snprintf(sidecar, sizeof(sidecar), "s%d", (int)stream);
    assert_int_equal(store_audit_append(b->sqlite, sidecar, records, count, records_received_ns,
                                        &one, NULL, NULL),
                     OK);
    assert_int_equal(store_audit_append(b->postgres, sidecar, records, count, records_received_ns,
                                        &other, NULL, NULL),
                     OK);
    assert_int_equal(one.first_position, other.first_position);
    assert_int_equal(one.last.sequence, other.last.sequence);
}

static void fill(struct both *b)
{
    uint64_t next[STREAMS];
    for (size_t i = 0; i < STREAMS; i++) {
        next[i] = 1;
    }
    for (int batch = 0; batch < BATCHES; batch++) {
        struct store_audit_record records[BATCH];
        uint64_t stream = draw(b, STREAMS);
        for (uint64_t i = 0; i < BATCH; i++) {
            record_make(b, stream, next[stream]++, &records[i]);
        }
        append(b, stream, records, BATCH);
        arena_reset(b->arena);
    }
    for (uint64_t stream = 0; stream < STREAMS; stream++) { /* all sessions end */
        struct store_audit_record beat = records_make(stream, next[stream], STORE_HEARTBEAT, "");
        beat.index.has_no_sessions = true;
        append(b, stream, &beat, 1);
    }
}

/* ---- questions ---- */

static const char *text_ask(struct both *b)
{
    static const char *const forms[] = {"%s",    "%s %s",  "%s*", "\"%s %s\"",
                                        "%s.%s", "%s %s*", "%s%s"};
    char *text = arena_alloc(b->arena, 512);
    assert_non_null(text);
    const char *form = forms[draw(b, sizeof(forms) / sizeof(forms[0]))];
    const char *first = words[draw(b, WORDS)], *second = words[draw(b, WORDS)];
    size_t at = 0;
    for (const char *c = form; *c != '\0'; c++) {
        if (c[0] == '%') {
            at += (size_t)snprintf(text + at, 512 - at, "%s", first);
            first = second;
            c++;
        } else {
            text[at++] = *c;
        }
    }
    text[at] = '\0';
    /* Half a word, now and then. */
    if (at > 3 && draw(b, 4) == 0) {
        text[at / 2] = '*';
        text[at / 2 + 1] = '\0';
    }
    return text;
}

static struct store_audit_filter filter_draw(struct both *b)
{
    static const char *const asked[] = {"orders",
                                        "public.orders",
                                        "sales.orders",
                                        "x.orders",
                                        "\"ORDERS\"",
                                        "gr\xc3\xb6\xc3\x9f"
                                        "e",
                                        "customers",
                                        "no"};
    static const uint32_t kinds[] = {0, UINT32_C(1) << STORE_INTENT,
                                     UINT32_C(1) << STORE_SESSION_OPENED,
                                     UINT32_C(1) << STORE_OUTCOME | UINT32_C(1) << STORE_HEARTBEAT};
    struct store_audit_filter f = {0};
    f.identity = draw(b, 3) == 0 ? identities[draw(b, 4)] : NULL;
    f.resource = draw(b, 4) == 0 ? resources[draw(b, 3)] : NULL;
    f.session = draw(b, 5) == 0 ? sessions[draw(b, 5)] : NULL;
    f.text = draw(b, 2) == 0 ? text_ask(b) : NULL;
    f.table = draw(b, 4) == 0 ? asked[draw(b, 8)] : NULL;
    f.verdict = draw(b, 4) == 0 ? (int)draw(b, 4) : 0;
    f.kinds = kinds[draw(b, 4)];
    f.since_ns = draw(b, 4) == 0 ? records_start_ns + (int64_t)draw(b, 400000000000) : 0;
    f.until_ns = draw(b, 4) == 0 ? records_start_ns + (int64_t)draw(b, 400000000000) : 0;
    f.position_max = draw(b, 5) == 0 ? draw(b, (uint64_t)BATCH * BATCHES) : 0;
    return f;
}

static void entries_compare(const struct store_audit_entry *x, const struct store_audit_entry *y)
{
    assert_int_equal(x->key, y->key);
    assert_int_equal(x->position, y->position);
    assert_int_equal(x->received_ns, y->received_ns);
    assert_string_equal(x->sidecar, y->sidecar);
    assert_int_equal(x->sequence, y->sequence);
    assert_memory_equal(x->hash, y->hash, STORE_HASH_SIZE);
    assert_true(bytes_equal(x->canonical, y->canonical));
    assert_int_equal(x->is_erased, y->is_erased);
    assert_int_equal(x->erased_ns, y->erased_ns);
    assert_int_equal(x->kind, y->kind);
    assert_string_equal(x->session, y->session);
    assert_string_equal(x->identity, y->identity);
    assert_string_equal(x->resource, y->resource);
    assert_string_equal(x->protocol, y->protocol);
}

static size_t page_compare(struct both *b, const struct store_audit_filter *f, int64_t from,
                           size_t max, size_t max_bytes)
{
    struct store_audit_entry *one = NULL, *other = NULL;
    struct err_text why = {.text = ""};
    size_t one_count = 0, other_count = 0;
    bool one_more = false, other_more = false;
    enum err first = store_audit_page(b->sqlite, f, from, max, max_bytes, b->arena, &one,
                                      &one_count, &one_more, NULL);
    enum err second = store_audit_page(b->postgres, f, from, max, max_bytes, b->arena, &other,
                                       &other_count, &other_more, &why);
    if (first != second || one_count != other_count) {
        print_error("text \"%s\" table %s identity %s resource %s session %s verdict %d kinds %x"
                    " since %lld until %lld position %d from %lld: %d %zu, %d %zu: %s\n",
                    f->text, f->table, f->identity, f->resource, f->session, f->verdict, f->kinds,
                    (long long)f->since_ns, (long long)f->until_ns, (int)f->position_max,
                    (long long)from, (int)first, one_count, (int)second, other_count, why.text);
    }
    assert_int_equal(first, second);
    assert_int_equal(one_count, other_count);
    assert_int_equal(one_more, other_more);
    for (size_t i = 0; i < one_count; i++) {
        entries_compare(&one[i], &other[i]);
    }
    return one_count;
}

static void newest_compare(struct both *b, const struct store_audit_filter *f, uint64_t n)
{
    int64_t one = 0, other = 0;
    enum err first = store_audit_nth_newest(b->sqlite, f, n, &one, NULL);
    enum err second = store_audit_nth_newest(b->postgres, f, n, &other, NULL);
    assert_int_equal(first, second);
    assert_int_equal(one, other);
}

static void follow_compare(struct both *b, const struct store_audit_filter *f, uint64_t after)
{
    struct store_audit_entry *one = NULL, *other = NULL;
    size_t one_count = 0, other_count = 0;
    uint64_t one_position = 0, other_position = 0;
    bool one_more = false, other_more = false;
    enum err first = store_audit_follow(b->sqlite, f, after, 5, SIZE_MAX, b->arena, &one,
                                        &one_count, &one_position, &one_more, NULL);
    enum err second = store_audit_follow(b->postgres, f, after, 5, SIZE_MAX, b->arena, &other,
                                         &other_count, &other_position, &other_more, NULL);
    assert_int_equal(first, second);
    assert_int_equal(one_count, other_count);
    assert_int_equal(one_position, other_position);
    assert_int_equal(one_more, other_more);
    for (size_t i = 0; i < one_count; i++) {
        entries_compare(&one[i], &other[i]);
    }
}

static void questions_ask(struct both *b)
{
    size_t found = 0;
    for (int i = 0; i < QUESTIONS; i++) {
        struct store_audit_filter f = filter_draw(b);
        int64_t from =
            draw(b, 2) == 0 ? INT64_MIN : records_start_ns + (int64_t)draw(b, 400000000000);
        found += page_compare(b, &f, from, 1 + draw(b, 50), draw(b, 2) == 0 ? 300 : SIZE_MAX) > 0;
        newest_compare(b, &f, 1 + draw(b, 30));
        follow_compare(b, &f, draw(b, (uint64_t)BATCH * BATCHES));
        arena_reset(b->arena);
    }
    assert_true(found > QUESTIONS / 10); /* else nothing was asked */
}

static void sessions_compare(struct both *b)
{
    struct store_session *one = NULL, *other = NULL;
    size_t one_count = 0, other_count = 0;
    assert_int_equal(store_session_list(b->sqlite, true, 0, b->arena, &one, &one_count), OK);
    assert_int_equal(store_session_list(b->postgres, true, 0, b->arena, &other, &other_count), OK);
    assert_int_equal(one_count, other_count);
    for (size_t i = 0; i < one_count; i++) {
        assert_string_equal(one[i].session, other[i].session);
        assert_string_equal(one[i].sidecar, other[i].sidecar);
        assert_string_equal(one[i].identity, other[i].identity);
        assert_string_equal(one[i].resource, other[i].resource);
        assert_string_equal(one[i].state, other[i].state);
        assert_string_equal(one[i].close_reason, other[i].close_reason);
        assert_int_equal(one[i].opened_ns, other[i].opened_ns);
        assert_int_equal(one[i].closed_ns, other[i].closed_ns);
        assert_int_equal(one[i].operations, other[i].operations);
    }
}

static void erase(struct both *b)
{
    const char **one = NULL, **other = NULL;
    size_t one_count = 0, other_count = 0;
    const struct store_erase what = {.resource = "db1", .closed_before_ns = INT64_MAX, .max = 100};
    for (int i = 0; i < 2; i++) {
        assert_int_equal(store_audit_erase(b->sqlite, &what, 9, b->arena, &one, &one_count), OK);
        assert_int_equal(store_audit_erase(b->postgres, &what, 9, b->arena, &other, &other_count),
                         OK);
        assert_int_equal(one_count, other_count);
        assert_true(one_count > 0 || i > 0);
        for (size_t k = 0; k < one_count; k++) {
            assert_string_equal(one[k], other[k]);
        }
    }
}

static void test_both_stores_give_the_same_answers(void **state)
{
    struct both *b = *state;
    fill(b);
    sessions_compare(b);
    questions_ask(b);
    erase(b);
    sessions_compare(b);
    questions_ask(b);
}

static int setup(void **state)
{
    struct both *b = *state;
    char url[200];
    test_server_create_database(&b->server, "");
    test_server_url(&b->server, url, sizeof(url));
    (void)snprintf(b->directory, sizeof(b->directory), "/tmp/chaperone-difference-XXXXXX");
    assert_non_null(mkdtemp(b->directory));
    (void)snprintf(b->path, sizeof(b->path), "%s/store.db", b->directory);
    assert_int_equal(store_open_sqlite(b->path, NULL, &b->sqlite, NULL), OK);
    assert_int_equal(store_open_postgres(url, NULL, &b->postgres, NULL), OK);
    b->arena = arena_create(1 << 16, 64 << 20);
    assert_non_null(b->arena);
    b->seed = 7;
    return 0;
}

static int teardown(void **state)
{
    static const char *const suffixes[] = {"", "-wal", "-shm"};
    struct both *b = *state;
    store_close(b->sqlite);
    store_close(b->postgres);
    for (size_t i = 0; i < 3; i++) {
        char path[128];
        (void)snprintf(path, sizeof(path), "%s%s", b->path, suffixes[i]);
        (void)unlink(path);
    }
    (void)rmdir(b->directory);
    arena_destroy(b->arena);
    return 0;
}

int main(void)
{
    static struct both both;
    test_server_start(&both.server, false);
    const struct CMUnitTest tests[] = {{"test_both_stores_give_the_same_answers",
                                        test_both_stores_give_the_same_answers, setup, teardown,
                                        &both}};
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    test_server_stop(&both.server);
    return failed;
}
