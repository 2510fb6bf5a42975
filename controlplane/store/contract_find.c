#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

/* ---- find --------------------------------------------------------------------------------------
 */

/* What is found, as the sequences: "3 4". */
static const char *found(struct test *t, struct store_audit_filter filter)
{
    struct store_audit_entry *items = NULL;
    struct err_text why = {.text = ""};
    struct buffer text;
    size_t count = 0;
    bool more = false;
    enum err err = store_audit_page(t->store, &filter, INT64_MIN, 100, SIZE_MAX, t->arena, &items,
                                    &count, &more, &why);
    if (err != OK) {
        print_error("%s\n", why.text);
    }
    assert_int_equal(err, OK);
    buffer_init(&text, 4096);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(buffer_append_format(&text, i == 0 ? "%d" : " %d", (int)items[i].sequence),
                         OK);
    }
    const char *copy = arena_copy_string(t->arena, buffer_bytes(&text));
    buffer_finish(&text);
    /* The newest one must be the same read from the other end. */
    int64_t key = 0;
    err = store_audit_nth_newest(t->store, &filter, 1, &key, NULL);
    assert_int_equal(err, count == 0 ? ERR_NOT_FOUND : OK);
    assert_true(count == 0 || key == items[count - 1].key);
    return copy;
}

#define FOUND(t, sequences, ...)                                                                   \
    assert_string_equal(found((t), (struct store_audit_filter){__VA_ARGS__}), (sequences))

static void test_search_by_who_and_where(void **state)
{
    struct test *t = *state;
    contract_fill(t);
    FOUND(t, "1 2 3 4 5 6 7 8 9", 0);
    FOUND(t, "1 3 5 6 8", .identity = "alice");
    FOUND(t, "2 4 7", .identity = "bob");
    FOUND(t, "", .identity = "ALICE");
    FOUND(t, "2 4 7", .resource = "db2");
    FOUND(t, "", .resource = "db2", .identity = "alice");
    FOUND(t, "1 3 5 6 8", .session = "A");
    FOUND(t, "", .session = "C");
    FOUND(t, "4", .verdict = 2);
    FOUND(t, "7", .verdict = 3, .identity = "bob");
    FOUND(t, "", .verdict = 3, .identity = "alice");
    FOUND(t, "1 2 3 5 6", .verdict = 1);
    FOUND(t, "3 4 5 6 7", .kinds = store_kind_bit(STORE_INTENT));
    FOUND(t, "8", .kinds = store_kind_bit(STORE_SESSION_CLOSED));
    FOUND(t, "1 2 9",
          .kinds = store_kind_bit(STORE_SESSION_OPENED) | store_kind_bit(STORE_HEARTBEAT));
    FOUND(t, "1", .kinds = store_kind_bit(STORE_SESSION_OPENED), .identity = "alice");
    FOUND(t, "", .kinds = store_kind_bit(STORE_LOSS));
}

static void test_search_by_time(void **state)
{
    struct test *t = *state;
    const int64_t second = 1000000000;
    contract_fill(t);
    FOUND(t, "8 9", .since_ns = records_start_ns + 8 * second);
    FOUND(t, "1 2", .until_ns = records_start_ns + 2 * second);
    FOUND(t, "3 4", .since_ns = records_start_ns + 2 * second + 1,
          .until_ns = records_start_ns + 5 * second - 1);
    FOUND(t, "5 6", .since_ns = records_start_ns + 4 * second,
          .until_ns = records_start_ns + 6 * second, .identity = "alice");
    FOUND(t, "3 4", .until_ns = records_start_ns + 4 * second, .text = "orders");
    FOUND(t, "3 4", .until_ns = records_start_ns + 4 * second, .table = "orders");
    FOUND(t, "1 2 3 4 5", .position_max = 5);
    FOUND(t, "3 4", .position_max = 4, .text = "from");
}

static void test_search_by_table(void **state)
{
    struct test *t = *state;
    contract_fill(t);
    FOUND(t, "3 4 5", .table = "orders");
    FOUND(t, "3 4 5", .table = "\"Orders\"");
    FOUND(t, "3 4 5", .table = "public.orders"); /* 5 names an unqualified one, too */
    FOUND(t, "4", .table = "PUBLIC.orders", .verdict = 2);
    FOUND(t, "3 5", .table = "sales.orders");
    FOUND(t, "4", .table = "db.public.orders", .identity = "bob");
    FOUND(t, "", .table = "rders");
    FOUND(t, "", .table = "s.customers2");
    FOUND(t, "3 5", .table = "orders", .session = "A");
    FOUND(t, "5", .table = "orders", .text = "sales*", .identity = "alice", .session = "A");
    FOUND(t, "4", .table = "public.orders", .text = "delete");
    FOUND(t, "", .table = "sales.orders", .text = "delete");
}

static void test_search_by_words(void **state)
{
    struct test *t = *state;
    contract_fill(t);
    FOUND(t, "3 6 7", .text = "select");
    FOUND(t, "3", .text = "orders SELECT");
    FOUND(t, "3", .text = "customer_id");
    FOUND(t, "3", .text = "customer_id=17");
    FOUND(t, "", .text = "id_customer");
    FOUND(t, "6", .text = "customers");
    FOUND(t, "3 6", .text = "custom*");
    FOUND(t, "", .text = "custom");
    FOUND(t, "4", .text = "\"delete from public\"");
    FOUND(t, "", .text = "\"from delete\"");
    FOUND(t, "5",
          .text = "gr\xc3\xbc\xc3\x9f"
                  "e");
    FOUND(t, "7", .text = "caf\xc3\xa9");
    FOUND(t, "3 7", .text = "select -1*");
}

/* Few words begin so, many do, none does. */
static void test_beginnings_of_words(void **state)
{
    enum { WORDS = 120 };
    struct test *t = *state;
    struct store_audit_record records[WORDS];
    char texts[WORDS][64];
    for (uint64_t i = 0; i < WORDS; i++) {
        (void)snprintf(texts[i], sizeof(texts[i]), "select zebra%d from zoo%d", (int)i, (int)i % 3);
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
        records[i].index.text = bytes_of_string(texts[i]);
    }
    contract_append(t, "s1", records, WORDS);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zebra*"}), WORDS);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "ZEBRA11*"}), 11);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zo*"}), WORDS);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zoo1*"}), WORDS / 3);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zoo1* zebra11*"}), 3);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zebra11* sel*"}), 11);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "\"from zoo1*"}), 40);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zebu*"}), 0);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "s1*"}), 0);
    /* A word that was learned meanwhile. */
    struct store_audit_record next = records_make(1, WORDS + 1, STORE_INTENT, "x");
    next.index.text = bytes_of_string("zebus and zebr\xc3\xa4");
    contract_append(t, "s1", &next, 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zebu*"}), 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zebr*"}), WORDS + 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.text = "zebr\xc3\xa4*"}), 1);
}

static void test_search_text_is_never_an_expression(void **state)
{
    struct test *t = *state;
    struct store_audit_entry *items = NULL;
    struct err_text why;
    size_t count = 0;
    bool more = false;
    contract_fill(t);
    FOUND(t, "", .text = "orders OR customers"); /* three words */
    FOUND(t, "", .text = "tag : i1");
    FOUND(t, "", .text = "NOT select");
    FOUND(t, "3", .text = "select) orders (");
    FOUND(t, "3", .text = "^select + orders");
    FOUND(t, "6", .text = "\"Name");
    FOUND(t, "", .text = "\xff\xfe");
    FOUND(t, "", .text = "i1"); /* a tag is no word */
    struct store_audit_filter filter = {.text = " * \"\" ;-- "};
    assert_int_equal(store_audit_page(t->store, &filter, INT64_MIN, 10, 10, t->arena, &items,
                                      &count, &more, &why),
                     ERR_INVALID);
    assert_non_null(strstr(why.text, "no word"));
}

static void test_an_entry_says_what_its_session_says(void **state)
{
    struct test *t = *state;
    struct store_audit_entry *items = NULL;
    struct store_audit_filter filter = {.identity = "bob", .verdict = 2};
    size_t count = 0;
    bool more = false;
    contract_fill(t);
    assert_int_equal(store_audit_page(t->store, &filter, INT64_MIN, 10, SIZE_MAX, t->arena, &items,
                                      &count, &more, NULL),
                     OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].identity, "bob");
    assert_string_equal(items[0].on_behalf_of, "carol");
    assert_string_equal(items[0].resource, "db2");
    assert_string_equal(items[0].protocol, "");
}

static void test_pages_go_on_where_the_last_one_ended(void **state)
{
    struct test *t = *state;
    struct store_audit_record records[100];
    struct store_audit_filter filter = {.session = "x"};
    int64_t key = 0;
    for (uint64_t i = 0; i < 100; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, i % 2 == 0 ? "x" : "y");
    }
    contract_append(t, "s1", records, 100);
    /* The newest 30 of the session, in pages of 7, and of about 20 bytes (9 each). */
    for (size_t bytes = 20; bytes <= 20000; bytes *= 1000) {
        assert_int_equal(store_audit_nth_newest(t->store, &filter, 30, &key, NULL), OK);
        uint64_t next = 41;
        for (bool more = true; more;) {
            struct store_audit_entry *items = NULL;
            size_t count = 0;
            assert_int_equal(store_audit_page(t->store, &filter, key, 7, bytes, t->arena, &items,
                                              &count, &more, NULL),
                             OK);
            assert_true(count > 0 && count <= (bytes == 20 ? 3 : 7));
            for (size_t i = 0; i < count; i++, next += 2) {
                assert_int_equal(items[i].sequence, next);
            }
            key = items[count - 1].key + 1;
        }
        assert_int_equal(next, 101);
    }
    assert_int_equal(store_audit_nth_newest(t->store, &filter, 1000, &key, NULL), OK);
    assert_int_equal(key, records[0].index.time_ns);
}

/* What arrived after a position, as sequences, in calls of at most 2 records. */
static const char *followed(struct test *t, struct store_audit_filter filter, uint64_t position)
{
    struct buffer text;
    buffer_init(&text, 4096);
    for (bool more = true; more;) {
        struct store_audit_entry *items = NULL;
        size_t count = 0;
        uint64_t before = position;
        assert_int_equal(store_audit_follow(t->store, &filter, before, 2, SIZE_MAX, t->arena,
                                            &items, &count, &position, &more, NULL),
                         OK);
        assert_true(position > before || !more);
        for (size_t i = 0; i < count; i++) {
            assert_int_equal(buffer_append_format(&text, " %d", (int)items[i].sequence), OK);
        }
    }
    assert_int_equal(buffer_append(&text, bytes_of("", 1)), OK);
    const char *copy = arena_copy_string(t->arena, buffer_bytes(&text));
    buffer_finish(&text);
    return copy;
}

static void test_following_gives_what_arrived_since(void **state)
{
    struct test *t = *state;
    struct store_audit_filter filter = {0};
    assert_string_equal(followed(t, filter, 0), "");
    contract_fill(t);
    assert_string_equal(followed(t, filter, 0), " 1 2 3 4 5 6 7 8 9");
    assert_string_equal(followed(t, filter, 9), "");
    filter.identity = "alice";
    assert_string_equal(followed(t, filter, 1), " 3 5 6 8");
    filter.text = "sel*";
    assert_string_equal(followed(t, filter, 1), " 3 6");
    assert_string_equal(followed(t, filter, 3), " 6");
    filter = (struct store_audit_filter){.table = "public.orders"};
    assert_string_equal(followed(t, filter, 3), " 4 5");
    /* A stream that comes late is followed as it arrives. */
    struct store_audit_record late = records_make(2, 1, STORE_INTENT, "L");
    late.index.time_ns = 5;
    late.index.text = bytes_of_string("select late");
    contract_append(t, "s2", &late, 1);
    filter = (struct store_audit_filter){.text = "select"};
    assert_string_equal(followed(t, filter, 4), " 6 7 1");
    assert_string_equal(found(t, filter), "1 3 6 7");
}

/* ---- sessions ---- */

static void test_sessions_are_told_from_their_records(void **state)
{
    struct test *t = *state;
    struct store_session *items = NULL, one;
    size_t count = 0;
    contract_fill(t);
    struct store_audit_opened refused = {.identity = bytes_of_string("eve"), .refused = true};
    struct store_audit_record record =
        records_make(1, CONTRACT_RECORDS + 1, STORE_SESSION_OPENED, "R");
    record.index.opened = &refused;
    record.index.verdict = 2;
    contract_append(t, "s1", &record, 1);
    assert_int_equal(store_session_list(t->store, true, 0, t->arena, &items, &count), OK);
    assert_int_equal(count, 3);
    assert_string_equal(items[0].session, "R");
    assert_string_equal(items[0].state, "refused");
    assert_true(items[0].closed_ns != 0);
    assert_string_equal(items[1].session, "B");
    assert_string_equal(items[2].session, "A");
    assert_int_equal(store_session_list(t->store, true, 2, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_int_equal(store_session_list(t->store, false, 0, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(items[0].session, "B");
    assert_string_equal(items[0].state, "open");
    assert_string_equal(items[0].on_behalf_of, "carol");
    assert_int_equal(items[0].operations, 2);
    assert_int_equal(items[0].closed_ns, 0);
    assert_int_equal(store_session_get(t->store, "A", t->arena, &one), OK);
    assert_string_equal(one.state, "closed");
    assert_string_equal(one.close_reason, "agent_disconnected");
    assert_string_equal(one.sidecar, "s1");
    assert_string_equal(one.database, "shop");
    assert_string_equal(one.protocol, "postgres");
    assert_string_equal(one.agent_address, "127.0.0.1:5");
    assert_int_equal(one.operations, 3);
    assert_int_equal(one.opened_ns, records_start_ns + 1000000000);
    assert_int_equal(one.closed_ns,
                     records_start_ns + (CONTRACT_RECORDS - 1) * INT64_C(1000000000));
    assert_int_equal(store_session_get(t->store, "Z", t->arena, &one), ERR_NOT_FOUND);
}

/* What a sidecar that died left open ends with the first heartbeat after its next start. */
static void test_a_heartbeat_without_sessions_ends_what_was_lost(void **state)
{
    struct test *t = *state;
    struct store_session one;
    contract_fill(t);
    struct store_audit_record beat = records_make(1, CONTRACT_RECORDS + 1, STORE_HEARTBEAT, "");
    contract_append(t, "s1", &beat, 1);
    assert_int_equal(store_session_get(t->store, "B", t->arena, &one), OK);
    assert_string_equal(one.state, "open");
    struct store_audit_record other = records_make(2, 1, STORE_HEARTBEAT, "");
    other.index.has_no_sessions = true;
    contract_append(t, "s2", &other, 1); /* of another sidecar: says nothing about s1's */
    assert_int_equal(store_session_get(t->store, "B", t->arena, &one), OK);
    assert_string_equal(one.state, "open");
    beat = records_make(1, CONTRACT_RECORDS + 2, STORE_HEARTBEAT, "");
    beat.index.has_no_sessions = true;
    contract_append(t, "s1", &beat, 1);
    assert_int_equal(store_session_get(t->store, "B", t->arena, &one), OK);
    assert_string_equal(one.state, "closed");
    assert_string_equal(one.close_reason, "lost");
    assert_true(one.closed_ns > one.opened_ns);
    assert_int_equal(store_session_get(t->store, "A", t->arena, &one), OK);
    assert_string_equal(one.close_reason, "agent_disconnected"); /* it had ended before */
}

/* More sessions at a time than any cache has room for. */
static void test_many_sessions_at_a_time_are_counted_right(void **state)
{
    enum { SESSIONS = 700, ROUNDS = 3 };
    struct test *t = *state;
    struct store_audit_record *records =
        calloc((size_t)SESSIONS * ROUNDS, sizeof(struct store_audit_record));
    char names[SESSIONS][16];
    struct store_session *items = NULL;
    size_t count = 0;
    assert_non_null(records);
    for (int i = 0; i < SESSIONS * ROUNDS; i++) {
        (void)snprintf(names[i % SESSIONS], sizeof(names[0]), "session-%d", i % SESSIONS);
        records[i] = records_make(1, (uint64_t)i + 1, STORE_INTENT, names[i % SESSIONS]);
    }
    contract_append(t, "s1", records, (size_t)SESSIONS * ROUNDS);
    free(records);
    assert_int_equal(store_session_list(t->store, false, 0, t->arena, &items, &count), OK);
    assert_int_equal(count, SESSIONS);
    for (size_t i = 0; i < count; i++) {
        assert_int_equal(items[i].operations, ROUNDS);
    }
}

static void test_open_sessions_are_counted(void **state)
{
    struct test *t = *state;
    struct store_open_sessions *items = NULL;
    size_t count = 0;
    const struct store_audit_opened opened = {.identity = bytes_of_string("agent")};
    const char *const sessions[] = {"P", "Q", "R"};
    assert_int_equal(store_session_count_open(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 0);
    for (uint64_t i = 0; i < 3; i++) {
        struct store_audit_record r =
            records_make(i < 2 ? 2 : 1, i < 2 ? i + 1 : 1, STORE_SESSION_OPENED, sessions[i]);
        r.index.opened = &opened;
        contract_append(t, i < 2 ? "s2" : "s1", &r, 1);
    }
    struct store_audit_record closed = records_make(1, 2, STORE_SESSION_CLOSED, "R");
    assert_int_equal(store_session_count_open(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(items[0].sidecar, "s1");
    assert_int_equal(items[0].count, 1);
    assert_string_equal(items[1].sidecar, "s2");
    assert_int_equal(items[1].count, 2);
    contract_append(t, "s1", &closed, 1);
    assert_int_equal(store_session_count_open(t->store, t->arena, &items, &count), OK);
    assert_int_equal(count, 1);
}

/* However much was said of them. */
static void test_open_sessions_of_a_sidecar_are_named(void **state)
{
    enum { LARGE = 100000, ROOM = 16 << 10 };
    struct test *t = *state;
    struct arena *arena = arena_create(4096, ROOM);
    const char **ids = NULL;
    size_t count = 0;
    char *large = test_malloc(LARGE);
    memset(large, 'x', LARGE);
    const struct store_audit_opened opened = {.database = bytes_of(large, LARGE)};
    const char *const sessions[] = {"P", "Q", "R"};
    for (uint64_t i = 0; i < 3; i++) {
        struct store_audit_record r = records_make(2, i + 1, STORE_SESSION_OPENED, sessions[i]);
        r.index.opened = &opened;
        contract_append(t, "s2", &r, 1);
    }
    struct store_audit_record closed = records_make(2, 4, STORE_SESSION_CLOSED, "R");
    contract_append(t, "s2", &closed, 1);
    assert_int_equal(store_session_list_open(t->store, "s1", 10, arena, &ids, &count), OK);
    assert_int_equal(count, 0);
    assert_int_equal(store_session_list_open(t->store, "s2", 10, arena, &ids, &count), OK);
    assert_int_equal(count, 2);
    assert_string_equal(ids[0], "Q");
    assert_string_equal(ids[1], "P");
    assert_int_equal(store_session_list_open(t->store, "s2", 1, arena, &ids, &count), OK);
    assert_int_equal(count, 1);
    assert_string_equal(ids[0], "Q");
    test_free(large);
    arena_destroy(arena);
}

/* Another sidecar that names a session of the first one does not change it. */
static void test_a_session_belongs_to_its_sidecar(void **state)
{
    struct test *t = *state;
    struct store_session one;
    contract_fill(t);
    struct store_audit_record forged = records_make(2, 1, STORE_SESSION_CLOSED, "B");
    contract_append(t, "s2", &forged, 1);
    assert_int_equal(store_session_get(t->store, "B", t->arena, &one), OK);
    assert_string_equal(one.state, "open");
    assert_string_equal(one.sidecar, "s1");
    FOUND(t, "2 4 7", .identity = "bob");
    assert_int_equal(contract_count(t, (struct store_audit_filter){.session = "B"}), 4);
}

int contract_find_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_search_by_who_and_where),
        CONTRACT_TEST(test_search_by_time),
        CONTRACT_TEST(test_search_by_table),
        CONTRACT_TEST(test_search_by_words),
        CONTRACT_TEST(test_beginnings_of_words),
        CONTRACT_TEST(test_search_text_is_never_an_expression),
        CONTRACT_TEST(test_an_entry_says_what_its_session_says),
        CONTRACT_TEST(test_pages_go_on_where_the_last_one_ended),
        CONTRACT_TEST(test_following_gives_what_arrived_since),
        CONTRACT_TEST(test_sessions_are_told_from_their_records),
        CONTRACT_TEST(test_a_heartbeat_without_sessions_ends_what_was_lost),
        CONTRACT_TEST(test_many_sessions_at_a_time_are_counted_right),
        CONTRACT_TEST(test_open_sessions_are_counted),
        CONTRACT_TEST(test_open_sessions_of_a_sidecar_are_named),
        CONTRACT_TEST(test_a_session_belongs_to_its_sidecar),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
