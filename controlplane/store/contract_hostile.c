/* Records that a hostile sidecar, or a hostile agent of an honest one, may have made: each is taken
 * or the stream stands still for ever, and nobody else's records wait for long. */
#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/store/contract.h"

static size_t append_and_read(struct test *t, const struct store_audit_record *records,
                              size_t count)
{
    uint64_t total = 0;
    contract_append(t, "s1", records, count);
    contract_reopen(t);
    assert_int_equal(store_audit_count(t->store, &total), OK);
    assert_int_equal(total, count);
    return contract_count(t, (struct store_audit_filter){0});
}

static void test_times_that_cannot_be(void **state)
{
    static const int64_t times[] = {INT64_MIN, INT64_MIN + 1, -1,        0, 1,
                                    INT64_MAX, INT64_MAX - 1, INT64_MIN, 0, -5};
    enum { TIMES = sizeof(times) / sizeof(times[0]) };
    struct store_audit_record records[TIMES];
    for (size_t i = 0; i < TIMES; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
        records[i].index.time_ns = times[i];
        records[i].index.text = bytes_of_string("select 1");
    }
    assert_int_equal(append_and_read(*state, records, TIMES), TIMES);
    assert_int_equal(contract_count(*state, (struct store_audit_filter){.text = "select"}), TIMES);
}

static void test_numbers_that_nobody_knows(void **state)
{
    static const int numbers[] = {INT_MIN, -1, 0, 4711, INT_MAX};
    enum { NUMBERS = sizeof(numbers) / sizeof(numbers[0]) };
    struct store_audit_record records[NUMBERS];
    for (size_t i = 0; i < NUMBERS; i++) {
        records[i] = records_make(1, i + 1, STORE_INTENT, "x");
        records[i].index.verdict = numbers[i];
        records[i].index.status = numbers[i];
        records[i].index.rows = (uint64_t)numbers[i];
        records[i].index.text = bytes_of_string("select 1");
    }
    assert_int_equal(append_and_read(*state, records, NUMBERS), NUMBERS);
    assert_int_equal(contract_count(*state, (struct store_audit_filter){.text = "select"}),
                     NUMBERS);
    assert_int_equal(contract_count(*state, (struct store_audit_filter){.verdict = 4711}), 1);
}

/* In every place where a text goes. */
static void test_texts_that_are_none(void **state)
{
    static const struct {
        const char *bytes;
        size_t size;
    } texts[] = {{"\0", 1},
                 {"a\0b", 3},
                 {"\xff\xfe\x80", 3},
                 {"\xed\xa0\x80", 3},
                 {"\xf4\x90\x80\x80", 4},
                 {"\xc0\x80", 2},
                 {"\\x00", 4},
                 {"\\N\t\\.\n", 6},
                 {"\xe2\x80\xae\x1b[2J\r\n", 9},
                 {"'; --\"", 6},
                 {"\xef\xbf\xbf", 3},
                 {"a\xcc", 2}};
    enum { TEXTS = sizeof(texts) / sizeof(texts[0]) };
    struct store_audit_record records[3 * TEXTS];
    struct store_audit_opened opened[TEXTS];
    struct store_audit_table tables[TEXTS];
    for (size_t i = 0; i < TEXTS; i++) {
        struct bytes b = bytes_of(texts[i].bytes, texts[i].size);
        opened[i] = (struct store_audit_opened){.identity = b,
                                                .on_behalf_of = b,
                                                .resource = b,
                                                .protocol = b,
                                                .database = b,
                                                .agent_address = b};
        tables[i] = (struct store_audit_table){.name = b, .full = b};
        for (size_t n = 0; n < 3; n++) {
            static const enum store_audit_kind kinds[] = {STORE_SESSION_OPENED, STORE_INTENT,
                                                          STORE_SESSION_CLOSED};
            struct store_audit_record *r = &records[3 * i + n];
            *r = records_make(1, 3 * i + n + 1, kinds[n], "");
            /* Ids of sessions are strings: what reads a record ends them at the first NUL. */
            r->index.session = memchr(b.data, 0, b.size) == NULL ? b : bytes_of_string("session");
            r->index.error_code = b;
            r->index.close_reason = b;
            r->canonical = b;
        }
        records[3 * i].index.opened = &opened[i];
        records[3 * i + 1].index.text = b;
        records[3 * i + 1].index.tables = &tables[i];
        records[3 * i + 1].index.table_count = 1;
    }
    assert_int_equal(append_and_read(*state, records, 3 * TEXTS), 3 * TEXTS);
}

/* Bytes that no compression makes shorter: an index of PostgreSQL takes 2,704 of a value. */
static void fill(uint8_t *out, size_t size, uint64_t seed)
{
    for (size_t i = 0; i < size; i++) {
        seed = seed * UINT64_C(6364136223846793005) + UINT64_C(1442695040888963407);
        out[i] = (uint8_t)('!' + (seed >> 40) % 90);
    }
}

static void test_names_that_are_too_long(void **state)
{
    enum { SIZE = 1000000 };
    struct test *t = *state;
    static const size_t sizes[] = {1024, 2600, 2800, 9000, SIZE};
    enum { SIZES = sizeof(sizes) / sizeof(sizes[0]) };
    struct store_audit_record records[2 * SIZES];
    struct store_audit_opened opened[SIZES];
    struct store_audit_table tables[SIZES];
    uint8_t *text = malloc(SIZE);
    char sessions[SIZES][16];
    assert_non_null(text);
    fill(text, SIZE, 7);
    for (size_t i = 0; i < SIZES; i++) {
        struct bytes b = bytes_of(text, sizes[i]);
        opened[i] = (struct store_audit_opened){.identity = b,
                                                .on_behalf_of = b,
                                                .resource = b,
                                                .protocol = b,
                                                .database = b,
                                                .agent_address = b};
        tables[i] = (struct store_audit_table){.name = b, .full = b};
        (void)snprintf(sessions[i], sizeof(sessions[i]), "long-%zu", i);
        records[2 * i] = records_make(1, 2 * i + 1, STORE_SESSION_OPENED, sessions[i]);
        records[2 * i].index.opened = &opened[i];
        records[2 * i].index.error_code = b;
        records[2 * i + 1] = records_make(1, 2 * i + 2, STORE_INTENT, sessions[i]);
        records[2 * i + 1].index.text = b;
        records[2 * i + 1].index.tables = &tables[i];
        records[2 * i + 1].index.table_count = 1;
        records[2 * i + 1].canonical = b;
    }
    assert_int_equal(append_and_read(t, records, 2 * SIZES), 2 * SIZES);
    for (size_t i = 0; i < SIZES; i++) {
        struct store_audit_filter filter = {.session = sessions[i]};
        assert_int_equal(contract_count(t, filter), 2);
    }
    free(text);
}

/* More than a statement may name, which an agent chooses: everybody waits for one append, and a
 * store that gives up after some seconds would be sent the same again for ever. */
static void test_more_words_and_tables_than_anybody_needs(void **state)
{
    enum { TABLES = 40000, WORDS = 90000, WORD = 6, SIZE_MAX_TEXT = WORDS * WORD };
    struct test *t = *state;
    struct store_audit_record record = records_make(1, 1, STORE_INTENT, "x");
    struct store_audit_table *tables = calloc(TABLES, sizeof(*tables));
    char(*names)[12] = calloc(TABLES, sizeof(*names));
    char *text = malloc(SIZE_MAX_TEXT + 1);
    assert_true(tables != NULL && names != NULL && text != NULL);
    for (size_t i = 0; i < TABLES; i++) {
        (void)snprintf(names[i], sizeof(names[i]), "t%zu", i);
        tables[i] = (struct store_audit_table){.name = bytes_of_string(names[i]),
                                               .full = bytes_of_string(names[i])};
    }
    for (size_t i = 0; i < WORDS; i++) {
        /* Few enough for an index of them alone, too many together with the tables. */
        static const char letters[] = "0123456789abcdefghijklmnopqrstuvwxyz";
        text[WORD * i] = '\xc3';
        text[WORD * i + 1] = (char)(0xa0 + i % 22);
        text[WORD * i + 2] = letters[i / 22 % 36];
        text[WORD * i + 3] = letters[i / 22 / 36 % 36];
        text[WORD * i + 4] = letters[i / 22 / 36 / 36 % 36];
        text[WORD * i + 5] = ' ';
    }
    record.index.text = bytes_of(text, SIZE_MAX_TEXT);
    record.index.tables = tables;
    record.index.table_count = TABLES;
    contract_append(t, "s1", &record, 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.table = "t0"}), 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.table = "t39999"}), 1);
    assert_int_equal(contract_count(t, (struct store_audit_filter){.table = "t40000"}), 0);
    free(text);
    free(names);
    free(tables);
}

int contract_hostile_run(const struct store_contract *contract)
{
    const struct CMUnitTest tests[] = {
        CONTRACT_TEST(test_times_that_cannot_be),
        CONTRACT_TEST(test_numbers_that_nobody_knows),
        CONTRACT_TEST(test_texts_that_are_none),
        CONTRACT_TEST(test_names_that_are_too_long),
        CONTRACT_TEST(test_more_words_and_tables_than_anybody_needs),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
