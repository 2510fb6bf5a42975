#include <limits.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>
#include <zstd.h>

#include "controlplane/store/sqlite_section.h"

enum { ROOM = 64 << 20 };

struct test {
    struct arena *arena;
    struct section_packer *packer;
    struct buffer out;
};

static int setup(void **state)
{
    struct test *t = calloc(1, sizeof(*t));
    assert_non_null(t);
    t->arena = arena_create(1 << 16, 4UL * ROOM);
    assert_non_null(t->arena);
    assert_int_equal(section_packer_create(&t->packer), OK);
    buffer_init(&t->out, 2UL * ROOM);
    *state = t;
    return 0;
}

static int teardown(void **state)
{
    struct test *t = *state;
    buffer_finish(&t->out);
    section_packer_destroy(t->packer);
    arena_destroy(t->arena);
    free(t);
    return 0;
}

/* ---- heads ----------------------------------------------------------------------------------- */

static const int64_t KEY = INT64_C(1700000000000000000);
static const struct section_table orders = {.name = 7, .full = 8}, items = {.name = 9, .full = 10};

/* Three records of which the first and the last name tables. */
static void three_records(struct section_record out[3], struct section_table tables[3])
{
    tables[0] = orders;
    tables[1] = items;
    tables[2] = orders;
    out[0] = (struct section_record){.key = KEY,
                                     .at = 4,
                                     .kind = STORE_INTENT,
                                     .verdict = 1,
                                     .tables = tables,
                                     .table_count = 2};
    out[1] =
        (struct section_record){.key = KEY + 1, .at = 5, .kind = STORE_OUTCOME, .verdict = INT_MIN};
    out[2] = (struct section_record){.key = KEY + SECTION_SPAN_NS_MAX,
                                     .at = STORE_BATCH_MAX - 1,
                                     .kind = STORE_MESSAGE,
                                     .verdict = 3,
                                     .is_in_blob = true,
                                     .tables = tables + 2,
                                     .table_count = 1};
}

static void head_make(struct test *t)
{
    struct section_record records[3];
    struct section_table tables[3];
    three_records(records, tables);
    assert_int_equal(section_head_pack(records, 3, &t->out), OK);
}

static enum err head_open(struct test *t, int64_t key)
{
    struct section_record *records = NULL;
    size_t count = 0;
    return section_head_open(buffer_bytes(&t->out), key, t->arena, &records, &count);
}

static void test_a_head_says_what_was_packed(void **state)
{
    struct test *t = *state;
    struct section_record wanted[3], *got = NULL;
    struct section_table tables[3];
    size_t count = 0;
    three_records(wanted, tables);
    assert_int_equal(buffer_append_string(&t->out, "what was there"), OK);
    assert_int_equal(section_head_pack(wanted, 3, &t->out), OK);
    assert_int_equal(section_head_open(buffer_bytes(&t->out), KEY, t->arena, &got, &count), OK);
    assert_int_equal(count, 3);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(got[i].key, wanted[i].key);
        assert_int_equal(got[i].at, wanted[i].at);
        assert_int_equal(got[i].kind, wanted[i].kind);
        assert_int_equal(got[i].verdict, wanted[i].verdict);
        assert_int_equal(got[i].is_in_blob, wanted[i].is_in_blob);
        assert_int_equal(got[i].table_count, wanted[i].table_count);
        for (size_t k = 0; k < got[i].table_count; k++) {
            assert_int_equal(got[i].tables[k].name, wanted[i].tables[k].name);
            assert_int_equal(got[i].tables[k].full, wanted[i].tables[k].full);
        }
    }
}

static void test_a_table_is_kept_once(void **state)
{
    struct test *t = *state;
    struct section_table many[50];
    struct section_record one = {.key = 1, .tables = many, .table_count = 50};
    for (size_t i = 0; i < 50; i++) {
        many[i] = i % 2 == 0 ? orders : items;
    }
    assert_int_equal(section_head_pack(&one, 1, &t->out), OK);
    size_t before = buffer_size(&t->out);
    one.table_count = 2;
    assert_int_equal(section_head_pack(&one, 1, &t->out), OK);
    assert_int_equal(before - buffer_size(&t->out), 48 * 4);
}

/* More of them than are looked at: all are there, whether or not twice. */
static void test_a_section_may_name_many_tables(void **state)
{
    enum { TABLES = 5000 };
    struct test *t = *state;
    struct section_table *many = calloc(TABLES, sizeof(*many));
    struct section_record records[2] = {{.key = 1, .tables = many, .table_count = TABLES},
                                        {.key = 2, .at = 1, .tables = many, .table_count = TABLES}};
    struct section_record *got = NULL;
    size_t count = 0;
    assert_non_null(many);
    for (int64_t i = 0; i < TABLES; i++) {
        many[i] = (struct section_table){.name = i, .full = -i};
    }
    assert_int_equal(section_head_pack(records, 2, &t->out), OK);
    assert_int_equal(section_head_open(buffer_bytes(&t->out), 1, t->arena, &got, &count), OK);
    for (int64_t i = 0; i < TABLES; i++) {
        assert_int_equal(got[1].tables[i].name, i);
        assert_int_equal(got[1].tables[i].full, -i);
    }
    free(many);
}

static void test_records_that_are_no_section_are_refused(void **state)
{
    struct test *t = *state;
    struct section_record *many = calloc(SECTION_RECORDS_MAX + 1, sizeof(*many));
    assert_non_null(many);
    for (uint32_t i = 0; i <= SECTION_RECORDS_MAX; i++) {
        many[i] = (struct section_record){.key = KEY + i, .at = i};
    }
    assert_int_equal(section_head_pack(many, 0, &t->out), ERR_INVALID);
    assert_int_equal(section_head_pack(many, SECTION_RECORDS_MAX + 1, &t->out), ERR_INVALID);
    assert_int_equal(section_head_pack(many, SECTION_RECORDS_MAX, &t->out), OK);
    assert_int_equal(head_open(t, KEY), OK);
    many[1].key = KEY;
    assert_int_equal(section_head_pack(many, 2, &t->out), ERR_INVALID);
    many[1].key = KEY + SECTION_SPAN_NS_MAX + 1;
    assert_int_equal(section_head_pack(many, 2, &t->out), ERR_INVALID);
    many[1] = (struct section_record){.key = KEY + 1, .at = 0};
    assert_int_equal(section_head_pack(many, 2, &t->out), ERR_INVALID);
    many[1].at = STORE_BATCH_MAX;
    assert_int_equal(section_head_pack(many, 2, &t->out), ERR_INVALID);
    free(many);
}

static void test_a_head_is_of_its_key(void **state)
{
    struct test *t = *state;
    head_make(t);
    assert_int_equal(head_open(t, KEY), OK);
    /* The keys of its records would be beyond all numbers. */
    assert_int_equal(head_open(t, INT64_MAX - 5), ERR_DENIED);
    assert_int_equal(head_open(t, INT64_MIN), OK);
}

static void test_a_head_that_was_cut_or_goes_on_is_refused(void **state)
{
    struct test *t = *state;
    head_make(t);
    struct bytes whole = buffer_bytes(&t->out);
    struct section_record *records = NULL;
    size_t count = 0;
    for (size_t size = 0; size < whole.size; size++) {
        /* Of its own size, so that a sanitizer sees a read beyond it. */
        uint8_t *part = malloc(size + 1);
        assert_non_null(part);
        memcpy(part, whole.data, size);
        part = realloc(part, size == 0 ? 1 : size);
        assert_int_equal(section_head_open(bytes_of(part, size), KEY, t->arena, &records, &count),
                         ERR_DENIED);
        free(part);
    }
    assert_int_equal(buffer_append(&t->out, bytes_of("\0", 1)), OK);
    assert_int_equal(head_open(t, KEY), ERR_DENIED);
}

static void test_a_head_that_says_too_much_is_refused(void **state)
{
    /* Where in the head of three_records, and what is put there. */
    static const struct {
        size_t at;
        uint8_t value;
    } changes[] = {
        {0, 2},         /* version */
        {1, 0xff},      /* records */
        {4, 0},         /* none */
        {5, 0xff},      /* tables */
        {8, 1},         /* of the two one is named */
        {8, 3},         /* ... or a third one, which is not there */
        {12, 1},        /* the first record's key is not the section's */
        {9 + 15, 3},    /* its tables */
        {25 + 3, 0},    /* the second one's key is the first one's */
        {25, 0xff},     /* ... or too far */
        {25 + 5, 4},    /* its place is the first one's */
        {41 + 4, 0x40}, /* the third one's is beyond a batch */
        {41 + 6, 32},   /* a kind that no filter can ask for */
        {41 + 7, 2},    /* flags */
        {57 + 3, 1},    /* references: the second table first */
        {57 + 7, 2},    /* beyond the tables */
    };
    struct test *t = *state;
    for (size_t i = 0; i < sizeof(changes) / sizeof(changes[0]); i++) {
        head_make(t);
        t->out.data[t->out.start + changes[i].at] = changes[i].value;
        if (head_open(t, KEY) != ERR_DENIED) {
            fail_msg("byte %d may be %d", (int)changes[i].at, changes[i].value);
        }
    }
}

static void test_the_hash_is_of_all_hashes_in_order(void **state)
{
    static const uint8_t hashes[3][STORE_HASH_SIZE] = {{1}, {2}, {3}};
    struct section_record records[2] = {{.at = 0}, {.at = 2}};
    uint8_t first[STORE_HASH_SIZE], again[STORE_HASH_SIZE], other[STORE_HASH_SIZE];
    (void)state;
    section_hash(records, 2, hashes, first);
    section_hash(records, 2, hashes, again);
    assert_memory_equal(first, again, STORE_HASH_SIZE);
    records[1].at = 1;
    section_hash(records, 2, hashes, other);
    assert_memory_not_equal(first, other, STORE_HASH_SIZE);
    section_hash(records, 1, hashes, other);
    assert_memory_not_equal(first, other, STORE_HASH_SIZE);
}

/* ---- content --------------------------------------------------------------------------------- */

static struct section_content content_of(const char *canonical, const char *text)
{
    return (struct section_content){.canonical = bytes_of_string(canonical),
                                    .text = bytes_of_string(text)};
}

/* Texts that are in their record, at its end, at different places, apart, and none. */
static size_t some_contents(struct section_content out[8])
{
    size_t n = 0;
    out[n++] = content_of("[select 1]", "select 1");
    out[n++] = content_of("[select 2]", "select 2");
    out[n++] = content_of("longer [select 2]", "select 2]");
    out[n++] = content_of("a reference", "a text that is apart");
    out[n++] = content_of("", "");
    out[n++] = content_of("", "a text alone");
    out[n++] = content_of("all of it", "all of it");
    out[n++] = content_of("no text", "");
    return n;
}

static void contents_check(struct test *t, const struct section_content *wanted, size_t count)
{
    struct section_content *got = NULL;
    arena_reset(t->arena);
    assert_int_equal(section_content_pack(t->packer, wanted, count, &t->out), OK);
    assert_int_equal(section_content_open(t->packer, buffer_bytes(&t->out), count, t->arena, &got),
                     OK);
    for (size_t i = 0; i < count; i++) {
        assert_true(bytes_equal(got[i].canonical, wanted[i].canonical));
        assert_true(bytes_equal(got[i].text, wanted[i].text));
    }
}

static void test_contents_come_back_as_they_were(void **state)
{
    struct test *t = *state;
    struct section_content contents[8];
    size_t count = some_contents(contents);
    contents_check(t, contents, count);
    for (size_t i = 0; i < count; i++) {
        contents_check(t, &contents[i], 1);
    }
    contents_check(t, contents, count); /* after others, with the same packer */
}

static void test_a_text_in_its_record_is_not_kept_twice(void **state)
{
    enum { SIZE = 5000 };
    struct test *t = *state;
    uint8_t random[SIZE];
    uint32_t seed = 1;
    for (size_t i = 0; i < SIZE; i++) {
        seed = seed * 1664525 + 1013904223;
        random[i] = (uint8_t)(seed >> 24);
    }
    struct section_content one = {.canonical = bytes_of(random, SIZE),
                                  .text = bytes_of(random + 10, SIZE - 20)};
    contents_check(t, &one, 1);
    assert_in_range(buffer_size(&t->out), SIZE, SIZE + 100);
}

/* A record of any size that the store takes is a section of its own. */
static void test_a_large_record_comes_back_and_a_larger_one_is_refused(void **state)
{
    struct test *t = *state;
    uint8_t *large = calloc(1, SECTION_UNPACKED_MAX + 1);
    assert_non_null(large);
    struct section_content items_of[2] = {{.canonical = bytes_of(large, 48 << 20)},
                                          content_of("small", "mal")};
    contents_check(t, items_of, 2);
    items_of[0].canonical.size = SECTION_UNPACKED_MAX;
    assert_int_equal(section_content_pack(t->packer, items_of, 1, &t->out), ERR_LIMIT);
    items_of[0] = (struct section_content){.canonical = bytes_of(large, 33 << 20),
                                           .text = bytes_of(large, 33 << 20)};
    assert_int_equal(section_content_pack(t->packer, items_of, 2, &t->out), ERR_LIMIT);
    free(large);
}

static enum err content_open_of(struct test *t, struct bytes packed, size_t count)
{
    struct section_content *got = NULL;
    arena_reset(t->arena);
    return section_content_open(t->packer, packed, count, t->arena, &got);
}

static void test_content_that_was_cut_or_goes_on_is_refused(void **state)
{
    struct test *t = *state;
    struct section_content contents[8];
    size_t count = some_contents(contents);
    assert_int_equal(section_content_pack(t->packer, contents, count, &t->out), OK);
    struct bytes whole = buffer_bytes(&t->out);
    for (size_t size = 0; size < whole.size; size++) {
        assert_int_equal(content_open_of(t, bytes_of(whole.data, size), count), ERR_DENIED);
    }
    assert_int_equal(content_open_of(t, whole, count), OK);
    assert_int_equal(content_open_of(t, whole, count - 1), ERR_DENIED);
    assert_int_equal(content_open_of(t, whole, count + 1), ERR_DENIED);
    assert_int_equal(content_open_of(t, whole, SIZE_MAX), ERR_DENIED);
    assert_int_equal(content_open_of(t, whole, 0), ERR_DENIED);
    /* Another frame behind it, and one that says nothing. */
    assert_int_equal(buffer_append(&t->out, bytes_of("\x28\xb5\x2f\xfd\x20\0\x01\0\0", 9)), OK);
    assert_int_equal(content_open_of(t, buffer_bytes(&t->out), count), ERR_DENIED);
    assert_int_equal(content_open_of(t, bytes_of("\x50\x2a\x4d\x18\0\0\0\0", 8), 1), ERR_DENIED);
}

/* `plain` as it might be packed by somebody else. */
static enum err plain_open(struct test *t, struct bytes plain, size_t count)
{
    uint8_t packed[1024];
    size_t size = ZSTD_compress(packed, sizeof(packed), plain.data, plain.size, 1);
    assert_false(ZSTD_isError(size));
    return content_open_of(t, bytes_of(packed, size), count);
}

static void test_sizes_of_contents_add_up(void **state)
{
    static const struct {
        const char *plain;
        size_t size;
        enum err err;
    } cases[] = {
        {"\0\0\0\2\0\0\0\1\0\0\0\1ab", 14, OK},
        {"\0\0\0\2\0\0\0\1\0\0\0\2ab", 14, ERR_DENIED},   /* the text goes beyond its record */
        {"\0\0\0\2\0\0\0\3\0\0\0\0ab", 14, ERR_DENIED},   /* ... begins there */
        {"\0\0\0\2\0\0\0\1\0\0\0\0ab", 14, ERR_DENIED},   /* ... is none */
        {"\0\0\0\2\0\0\0\2\0\0\0\1abc", 15, OK},          /* apart */
        {"\0\0\0\2\0\0\0\2\0\0\0\1ab", 14, ERR_DENIED},   /* ... but is not there */
        {"\0\0\0\2\0\0\0\2\0\0\0\1abcd", 16, ERR_DENIED}, /* ... and more */
        {"\xff\xff\xff\xff\0\0\0\1\0\0\0\1ab", 14, ERR_DENIED},
        {"\0\0\0\2\xff\xff\xff\xff\xff\xff\xff\xff"
         "ab",
         14, ERR_DENIED},
        {"\0\0\0\2\0\0\0\1\0\0\0", 11, ERR_DENIED},
    };
    struct test *t = *state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        if (plain_open(t, bytes_of(cases[i].plain, cases[i].size), 1) != cases[i].err) {
            fail_msg("case %d", (int)i);
        }
    }
}

/* Frames that are small and say that they are large, or do not say how large they are. */
static void test_a_frame_says_its_size_and_keeps_to_it(void **state)
{
    struct test *t = *state;
    uint8_t packed[1 << 16], *large = calloc(1, SECTION_UNPACKED_MAX + 1);
    ZSTD_CCtx *context = ZSTD_createCCtx();
    assert_non_null(context);
    assert_non_null(large);
    size_t size =
        ZSTD_compressCCtx(context, packed, sizeof(packed), large, SECTION_UNPACKED_MAX + 1, 1);
    assert_false(ZSTD_isError(size));
    assert_int_equal(content_open_of(t, bytes_of(packed, size), 1), ERR_DENIED);
    assert_int_equal(arena_used(t->arena), 0);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(context, ZSTD_c_contentSizeFlag, 0)));
    size = ZSTD_compress2(context, packed, sizeof(packed), large, 12);
    assert_false(ZSTD_isError(size));
    assert_int_equal(content_open_of(t, bytes_of(packed, size), 1), ERR_DENIED);
    (void)ZSTD_freeCCtx(context);
    free(large);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(test_a_head_says_what_was_packed, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_table_is_kept_once, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_section_may_name_many_tables, setup, teardown),
        cmocka_unit_test_setup_teardown(test_records_that_are_no_section_are_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_head_is_of_its_key, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_head_that_was_cut_or_goes_on_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_head_that_says_too_much_is_refused, setup, teardown),
        cmocka_unit_test_setup_teardown(test_the_hash_is_of_all_hashes_in_order, setup, teardown),
        cmocka_unit_test_setup_teardown(test_contents_come_back_as_they_were, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_text_in_its_record_is_not_kept_twice, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_a_large_record_comes_back_and_a_larger_one_is_refused,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_content_that_was_cut_or_goes_on_is_refused, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_sizes_of_contents_add_up, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_frame_says_its_size_and_keeps_to_it, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
