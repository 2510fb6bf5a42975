#include "cli/replay/compare.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/crypto/crypto.h"

/* Two rows of a text and a NULL or a text, as on the wire. */
static const char row_1[] = "D\0\0\0\x0f\0\2\0\0\0\1a\xff\xff\xff\xff";
static const char row_2[] = "D\0\0\0\x11\0\2\0\0\0\2bc\0\0\0\1\x7a";
/* A description of one column in binary form. */
static const char binary_column[] =
    "T\0\0\0\x1a\0\1n\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\1";

enum { ROW_1_SIZE = sizeof(row_1) - 1, ROW_2_SIZE = sizeof(row_2) - 1 };

struct recorded {
    Chaperone__V1__Outcome outcome;
    uint8_t response[256], digest[CRYPTO_SHA256_SIZE];
};

static void record(struct recorded *r, const char *tag)
{
    chaperone__v1__outcome__init(&r->outcome);
    r->outcome.status = CHAPERONE__V1__STATUS__SUCCESS;
    r->outcome.command_tag = (char *)(uintptr_t)tag;
    r->outcome.response_encoding = (char *)(uintptr_t) "postgres";
    memcpy(r->response, row_1, ROW_1_SIZE);
    memcpy(r->response + ROW_1_SIZE, row_2, ROW_2_SIZE);
    r->outcome.response.data = r->response;
    r->outcome.response.len = ROW_1_SIZE + ROW_2_SIZE;
    r->outcome.bytes = ROW_1_SIZE + ROW_2_SIZE;
    crypto_sha256_of(bytes_of(r->response, ROW_1_SIZE + ROW_2_SIZE), r->digest);
    r->outcome.digest.data = r->digest;
    r->outcome.digest.len = sizeof(r->digest);
}

static void add(struct comparison *c, const char *first, const char *second)
{
    const struct compare_cell cells[] = {
        {.value = bytes_of_string(first)},
        {.value = bytes_of_string(second), .is_null = second == NULL}};
    assert_int_equal(compare_add_row(c, cells, 2), OK);
}

/* Executes it again: `rows` of the two, the second with this text. */
static enum compare_result run(const struct recorded *r, int rows, const char *second,
                               const struct compare_end *end, uint64_t *different, char *now)
{
    struct comparison *c = compare_create(&r->outcome);
    struct err_text why = {0};
    struct bytes recorded_row, now_row;
    assert_non_null(c);
    if (rows > 0) {
        add(c, "a", NULL);
    }
    if (rows > 1) {
        add(c, second, "z");
    }
    enum compare_result result = compare_finish(c, end, &why);
    assert_string_not_equal(why.text, "");
    *different = compare_first_difference(c, &recorded_row, &now_row);
    assert_true(now_row.size < 64);
    memcpy(now, now_row.size == 0 ? (const uint8_t *)"" : now_row.data, now_row.size);
    now[now_row.size] = '\0';
    compare_destroy(c);
    return result;
}

static void test_the_same_rows_agree(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 7;
    char now[64];
    struct compare_end end = {.tag = "SELECT 2", .is_format_known = true};
    record(&r, "SELECT 2");
    assert_int_equal(run(&r, 2, "bc", &end, &different, now), COMPARE_AGREES);
    assert_int_equal(different, 0);
    /* Only the digest was recorded: it is enough. */
    r.outcome.response.len = 0;
    assert_int_equal(run(&r, 2, "bc", &end, &different, now), COMPARE_AGREES);
}

static void test_the_row_that_differs_is_named(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    char now[64];
    struct compare_end end = {.tag = "SELECT 2", .is_format_known = true};
    record(&r, "SELECT 2");
    assert_int_equal(run(&r, 2, "bd", &end, &different, now), COMPARE_DIFFERS);
    assert_int_equal(different, 2);
    assert_string_equal(now, "bd | z");
    end.tag = "SELECT 1";
    assert_int_equal(run(&r, 1, "", &end, &different, now), COMPARE_DIFFERS);
    assert_int_equal(different, 2);
    assert_string_equal(now, "");
    /* Without the recorded rows it is said that they differ, not where. */
    r.outcome.response.len = 0;
    end.tag = "SELECT 2";
    assert_int_equal(run(&r, 2, "bd", &end, &different, now), COMPARE_DIFFERS);
    assert_int_equal(different, 0);
    end.is_format_known = false;
    assert_int_equal(run(&r, 2, "bd", &end, &different, now), COMPARE_UNKNOWN);
    assert_int_equal(run(&r, 2, "bc", &end, &different, now), COMPARE_AGREES);
}

static void test_what_was_masked_cannot_agree(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    char now[64];
    Chaperone__V1__MaskingReceipt receipt = CHAPERONE__V1__MASKING_RECEIPT__INIT;
    Chaperone__V1__MaskingReceipt__Masked masked = CHAPERONE__V1__MASKING_RECEIPT__MASKED__INIT;
    Chaperone__V1__MaskingReceipt__Masked *list[] = {&masked};
    struct compare_end end = {.tag = "SELECT 2", .is_format_known = true};
    record(&r, "SELECT 2");
    receipt.n_masked = 1;
    receipt.masked = list;
    r.outcome.masking = &receipt;
    assert_int_equal(run(&r, 2, "clear", &end, &different, now), COMPARE_MASKED);
    end.tag = "SELECT 3"; /* how many rows there were was not masked */
    assert_int_equal(run(&r, 2, "clear", &end, &different, now), COMPARE_DIFFERS);
    receipt.n_masked = 0;
    receipt.rows_cut = 4;
    assert_int_equal(run(&r, 2, "clear", &end, &different, now), COMPARE_MASKED);
}

static void test_a_setting_of_the_startup_packet_has_no_tag(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    char now[64];
    struct compare_end end = {.tag = "SET", .is_format_known = true};
    record(&r, "");
    r.outcome.bytes = r.outcome.response.len = r.outcome.digest.len = 0;
    assert_int_equal(run(&r, 0, "", &end, &different, now), COMPARE_DIFFERS);
    end.was_startup = true;
    assert_int_equal(run(&r, 0, "", &end, &different, now), COMPARE_AGREES);
    end.sqlstate = "42704"; /* the sandbox does not know it */
    assert_int_equal(run(&r, 0, "", &end, &different, now), COMPARE_DIFFERS);
}

static void test_errors_are_compared(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    char now[64];
    struct compare_end end = {.tag = "", .sqlstate = "42P01", .is_format_known = true};
    record(&r, "SELECT 2");
    assert_int_equal(run(&r, 0, "", &end, &different, now), COMPARE_DIFFERS);
    r.outcome.status = CHAPERONE__V1__STATUS__FAILED;
    r.outcome.error_code = (char *)(uintptr_t) "42P01";
    assert_int_equal(run(&r, 0, "", &end, &different, now), COMPARE_AGREES);
    end.sqlstate = "42601";
    assert_int_equal(run(&r, 0, "", &end, &different, now), COMPARE_DIFFERS);
    end.sqlstate = NULL;
    end.tag = "SELECT 2";
    assert_int_equal(run(&r, 2, "bc", &end, &different, now), COMPARE_DIFFERS);
}

static void test_of_a_portal_only_what_was_fetched_counts(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    char now[64];
    const struct compare_end end = {.tag = "SELECT 2", .is_format_known = true};
    record(&r, "");
    r.outcome.status = CHAPERONE__V1__STATUS__SUSPENDED;
    r.outcome.rows = 1;
    r.outcome.response.len = r.outcome.bytes = ROW_1_SIZE;
    crypto_sha256_of(bytes_of(row_1, ROW_1_SIZE), r.digest);
    assert_int_equal(run(&r, 2, "other", &end, &different, now), COMPARE_AGREES);
}

static void test_the_form_of_the_values_is_found(void **state)
{
    (void)state;
    struct recorded r;
    bool is_sure = true;
    record(&r, "SELECT 2");
    assert_int_equal(compare_find_format(&r.outcome, &is_sure), COMPARE_TEXT);
    assert_false(is_sure);
    r.response[11] = 0; /* "a" of the first row: no text has a NUL */
    assert_int_equal(compare_find_format(&r.outcome, &is_sure), COMPARE_BINARY);
    assert_false(is_sure);
    memcpy(r.response, binary_column, sizeof(binary_column) - 1);
    r.outcome.response.len = sizeof(binary_column) - 1;
    assert_int_equal(compare_find_format(&r.outcome, &is_sure), COMPARE_BINARY);
    assert_true(is_sure);
}

/* Values in another form differ from the first row on; a row that is the same shows that they are
 * not. */
static void test_a_form_that_is_only_likely_proves_no_difference(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    struct err_text why = {0};
    struct bytes then, now_row;
    char now[64];
    const struct compare_end end = {.tag = "SELECT 2", .is_format_known = false};
    record(&r, "SELECT 2");
    assert_int_equal(run(&r, 2, "bd", &end, &different, now), COMPARE_DIFFERS);
    assert_int_equal(different, 2);
    struct comparison *c = compare_create(&r.outcome);
    assert_non_null(c);
    add(c, "x", NULL);
    add(c, "y", "z");
    assert_int_equal(compare_finish(c, &end, &why), COMPARE_UNKNOWN);
    assert_int_equal(compare_first_difference(c, &then, &now_row), 1);
    compare_destroy(c);
}

/* Whatever the recording holds, the comparison ends; cut anywhere, it never agrees wrongly. */
static void test_a_recording_that_is_cut(void **state)
{
    (void)state;
    struct recorded r;
    uint64_t different = 0;
    char now[64];
    const struct compare_end end = {.tag = "SELECT 2", .is_format_known = true};
    for (size_t size = 0; size < ROW_1_SIZE + ROW_2_SIZE; size++) {
        record(&r, "SELECT 2");
        r.outcome.response.len = size;
        assert_int_equal(run(&r, 2, "bd", &end, &different, now), COMPARE_DIFFERS);
        assert_int_equal(different, 0);
        assert_int_equal(run(&r, 2, "bc", &end, &different, now), COMPARE_AGREES);
        memset(r.response, 0xff, sizeof(r.response));
        assert_int_equal(run(&r, 2, "bc", &end, &different, now), COMPARE_AGREES);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_the_same_rows_agree),
        cmocka_unit_test(test_the_row_that_differs_is_named),
        cmocka_unit_test(test_what_was_masked_cannot_agree),
        cmocka_unit_test(test_a_setting_of_the_startup_packet_has_no_tag),
        cmocka_unit_test(test_errors_are_compared),
        cmocka_unit_test(test_of_a_portal_only_what_was_fetched_counts),
        cmocka_unit_test(test_the_form_of_the_values_is_found),
        cmocka_unit_test(test_a_form_that_is_only_likely_proves_no_difference),
        cmocka_unit_test(test_a_recording_that_is_cut),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
