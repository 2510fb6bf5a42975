/* The conversation with masks: a target with a small catalog answers what the session asks. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/testing/alloc_fail.h"
#include "base/writer.h"
#include "policies/policy.h"
#include "sidecar/catalog/catalog.h"
#include "sidecar/protocol/postgres/pg_write.h"
#include "sidecar/protocol/postgres/postgres_fixture.h"

static const char document[] =
    "{\"version\":1,\"rules\":[{\"name\":\"people\",\"effect\":\"allow\",\"obligations\":"
    "{\"mask\":[{\"columns\":[\"public.people.ssn\"],\"with\":{\"partial\":{\"keep_last\":2}}}]}}]"
    "}";

static const char *fingerprint = "first";
static const char *next_fingerprint; /* of the next answer but one and those behind it; or NULL */

struct answer {
    enum catalog_query query;
    const char *values[CATALOG_VALUES_MAX]; /* as many as are not NULL */
};

static const struct answer catalog[] = {
    {CATALOG_QUERY_PATH, {"pg_catalog", "false"}},
    {CATALOG_QUERY_PATH, {"public", "false"}},
    {CATALOG_QUERY_RELATIONS,
     {"20000", "public", "people", "r", "false", "false", "false", "true"}},
    {CATALOG_QUERY_COLUMNS, {"20000", "1", "name", "25", "text", "false"}},
    {CATALOG_QUERY_COLUMNS, {"20000", "2", "ssn", "25", "text", "false"}},
};

struct masked {
    struct fixture f;
    struct policy *policy;
    const struct policy_mask *items[POLICY_MASKS_MAX];
};

static void ok(enum err e)
{
    assert_int_equal(e, OK);
}

static void row(struct buffer *b, const char *const *values, size_t count)
{
    struct pg_value v[CATALOG_VALUES_MAX];
    for (size_t i = 0; i < count; i++) {
        v[i] = (struct pg_value){.data = bytes_of_string(values[i])};
    }
    ok(pg_write_row(b, v, (uint16_t)count));
}

static size_t count_of(const struct answer *a)
{
    size_t n = 0;
    while (n < CATALOG_VALUES_MAX && a->values[n] != NULL) {
        n++;
    }
    return n;
}

static void answer_query(struct buffer *b, struct bytes text)
{
    ok(pg_write_empty(b, PG_BACKEND_PARSE_COMPLETE));
    ok(pg_write_empty(b, PG_BACKEND_BIND_COMPLETE));
    if (bytes_equal_string(text, catalog_query_text(CATALOG_QUERY_FINGERPRINT))) {
        row(b, &fingerprint, 1);
        fingerprint = next_fingerprint == NULL ? fingerprint : next_fingerprint;
        next_fingerprint = NULL;
    }
    for (size_t i = 0; i < sizeof(catalog) / sizeof(catalog[0]); i++) {
        if (bytes_equal_string(text, catalog_query_text(catalog[i].query))) {
            row(b, catalog[i].values, count_of(&catalog[i]));
        }
    }
    ok(pg_write_command_complete(b, bytes_of_string("SELECT 1")));
    ok(pg_write_empty(b, PG_BACKEND_CLOSE_COMPLETE));
    ok(pg_write_empty(b, PG_BACKEND_CLOSE_COMPLETE));
}

/* Answers what lies in to_target as long as it is a question of the session's own; says how many
 * questions there were. */
static size_t answer_inquiries(struct fixture *f, char transaction)
{
    size_t asked = 0;
    for (;;) {
        struct bytes in = buffer_bytes(&f->to_target);
        struct buffer b;
        struct pg_header h;
        struct pg_parse parse;
        if (in.size == 0 || (in.data[0] != PG_FRONTEND_CLOSE && in.data[0] != PG_FRONTEND_PARSE)) {
            return asked;
        }
        buffer_init(&b, 1 << 20);
        while (in.size > 0) {
            assert_int_equal(pg_wire_read_header(in, &h), WIRE_OK);
            if (h.type == PG_FRONTEND_PARSE) {
                assert_int_equal(
                    pg_wire_read_parse(bytes_of(in.data + PG_HEADER_SIZE, h.body_size), &parse),
                    WIRE_OK);
                if (!bytes_equal_string(parse.name, "chaperone_inquiry")) {
                    buffer_finish(&b);
                    return asked;
                }
                answer_query(&b, parse.text);
                asked++;
            }
            in = bytes_of(in.data + PG_HEADER_SIZE + h.body_size,
                          in.size - PG_HEADER_SIZE - h.body_size);
        }
        ok(pg_write_ready(&b, (uint8_t)transaction));
        buffer_clear(&f->to_target);
        fixture_target(f, buffer_bytes(&b));
        buffer_finish(&b);
    }
}

static int setup(void **state)
{
    struct masked *m = calloc(1, sizeof(*m));
    const struct policy_request who = {.subject = "a", .resource = "r"};
    struct err_text why = {0};
    bool complete = false;
    fingerprint = "first";
    fixture_init(&m->f);
    fixture_login(&m->f);
    ok(policy_compile(bytes_of_string(document), 1, &m->policy, &why));
    size_t count = policy_masks(m->policy, &who, m->items, &complete);
    assert_true(count == 1 && complete);
    m->f.masks = (struct protocol_masks){
        .version = 2, .items = m->items, .count = count, .is_complete = true};
    *state = m;
    return 0;
}

static int teardown(void **state)
{
    struct masked *m = *state;
    fixture_finish(&m->f);
    policy_destroy(m->policy);
    free(m);
    return 0;
}

static void say(struct fixture *f, const char *text)
{
    struct buffer b;
    buffer_init(&b, 1 << 16);
    ok(pg_write_query(&b, bytes_of_string(text)));
    fixture_agent(f, buffer_bytes(&b));
    buffer_finish(&b);
}

static void describe(struct buffer *b, const char *name, uint32_t table, uint16_t attribute)
{
    struct writer w = writer_start(b);
    writer_put_u8(&w, PG_BACKEND_ROW_DESCRIPTION);
    size_t length = writer_open_length(&w);
    writer_put_u16(&w, 1);
    writer_put_string(&w, name);
    writer_put_u32(&w, table);
    writer_put_u16(&w, attribute);
    writer_put_u32(&w, 25);
    writer_put_u16(&w, 0xffff);
    writer_put_u32(&w, UINT32_MAX);
    writer_put_u16(&w, 0);
    writer_close_length(&w, length);
    ok(writer_finish(&w));
}

/* A result of one row; true when the agent got `expected` in it, and not the value. */
static bool gets(struct fixture *f, const char *value, const char *expected, uint16_t attribute)
{
    struct buffer b;
    buffer_init(&b, 1 << 16);
    describe(&b, "c", 20000, attribute);
    row(&b, &value, 1);
    ok(pg_write_command_complete(&b, bytes_of_string("SELECT 1")));
    ok(pg_write_ready(&b, 'I'));
    buffer_clear(&f->to_target);
    buffer_clear(&f->to_agent);
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    struct bytes got = buffer_bytes(&f->to_agent);
    bool has = memmem(got.data, got.size, expected, strlen(expected)) != NULL;
    bool leaks =
        strcmp(value, expected) != 0 && memmem(got.data, got.size, value, strlen(value)) != NULL;
    buffer_clear(&f->to_agent);
    return has && !leaks;
}

static bool target_has(const struct fixture *f, const char *text)
{
    struct bytes b = buffer_bytes(&f->to_target);
    return memmem(b.data, b.size, text, strlen(text)) != NULL;
}

static bool agent_has(const struct fixture *f, const char *text)
{
    struct bytes b = buffer_bytes(&f->to_agent);
    return memmem(b.data, b.size, text, strlen(text)) != NULL;
}

static void test_the_catalog_is_asked_once_and_the_agent_hears_nothing_of_it(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT name FROM people");
    assert_false(target_has(f, "SELECT name FROM people"));
    assert_int_equal(answer_inquiries(f, 'I'), 8); /* a fingerprint, then all with one at the end */
    assert_int_equal(buffer_size(&f->to_agent), 0);
    assert_true(target_has(f, "SELECT name FROM people"));
    assert_true(gets(f, "Ann", "Ann", 1));
    say(f, "SELECT ssn FROM people");
    assert_int_equal(answer_inquiries(f, 'I'), 0);
    assert_true(gets(f, "123456", "****56", 2));
}

/* Of a statement that was seen before and its answer. */
static size_t allocations_of(struct fixture *f, struct bytes question, struct bytes answer)
{
    buffer_clear(&f->to_target);
    buffer_clear(&f->to_agent);
    alloc_fail_start(0);
    fixture_agent(f, question);
    fixture_target(f, answer);
    return alloc_fail_stop();
}

static void test_a_masked_statement_takes_no_memory(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    const char *value = "123456";
    struct buffer question, answer;
    buffer_init(&question, 1 << 16);
    buffer_init(&answer, 1 << 16);
    ok(pg_write_query(&question, bytes_of_string("SELECT name FROM people")));
    describe(&answer, "name", 20000, 1);
    row(&answer, &value, 1);
    ok(pg_write_command_complete(&answer, bytes_of_string("SELECT 1")));
    ok(pg_write_ready(&answer, 'I'));
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    fixture_target(f, buffer_bytes(&answer));
    for (int i = 0; i < 2; i++) { /* until all buffers have their sizes */
        (void)allocations_of(f, buffer_bytes(&question), buffer_bytes(&answer));
    }
    assert_int_equal(allocations_of(f, buffer_bytes(&question), buffer_bytes(&answer)), 0);
    assert_true(agent_has(f, value));
    buffer_finish(&question);
    buffer_finish(&answer);
}

/* What masking makes of a result in which some values keep their lengths and others do not. */
static void put_result(struct buffer *b, const char *const *values, size_t count)
{
    describe(b, "ssn", 20000, 2);
    for (size_t i = 0; i < count; i++) {
        row(b, &values[i], 1);
    }
    ok(pg_write_command_complete(b, bytes_of_string("SELECT 5")));
    ok(pg_write_ready(b, 'I'));
}

static void test_rows_are_in_order_whatever_becomes_of_their_lengths(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    static const char *const values[] = {"123456", "98-76", "\303\244b\303\266d", "", "2345"};
    static const char *const masked[] = {"****56", "***76", "**\303\266d", "", "**45"};
    struct buffer in, want;
    buffer_init(&in, 1 << 16);
    buffer_init(&want, 1 << 16);
    put_result(&in, values, 5);
    put_result(&want, masked, 5);
    for (size_t split = 0; split <= buffer_size(&in); split++) {
        say(f, "SELECT ssn FROM people");
        (void)answer_inquiries(f, 'I');
        buffer_clear(&f->to_agent);
        fixture_target(f, bytes_of(buffer_bytes(&in).data, split));
        fixture_target(f, bytes_of(buffer_bytes(&in).data + split, buffer_size(&in) - split));
        assert_true(bytes_equal(buffer_bytes(&f->to_agent), buffer_bytes(&want)));
    }
    buffer_finish(&in);
    buffer_finish(&want);
}

static void test_a_row_that_is_none_ends_it_and_what_was_before_is_masked(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    static const char *const values[] = {"123456", "654321"};
    struct buffer b;
    buffer_init(&b, 1 << 16);
    say(f, "SELECT ssn FROM people");
    (void)answer_inquiries(f, 'I');
    describe(&b, "ssn", 20000, 2);
    row(&b, values, 1);
    row(&b, values, 2);
    row(&b, values, 1);
    buffer_clear(&f->to_agent);
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    assert_true(f->closed);
    assert_true(agent_has(f, "cannot be masked"));
    assert_false(agent_has(f, "123456"));
    assert_false(agent_has(f, "654321"));
}

static void test_what_is_masked_in_the_servers_own_words_is_masked_in_any_case(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    assert_true(gets(f, "123456", "", 2));
}

/* The target's CopyOutResponse (one column) and data; true when the agent has `expected`. */
static bool gets_copy(struct fixture *f, const char *data, const char *expected)
{
    struct buffer b;
    buffer_init(&b, 1 << 16);
    ok(pg_write_body(&b, PG_BACKEND_COPY_OUT, bytes_of("\0\0\1\0\0", 5)));
    ok(pg_write_body(&b, PG_BACKEND_COPY_DATA, bytes_of_string(data)));
    buffer_clear(&f->to_target);
    buffer_clear(&f->to_agent);
    fixture_target(f, buffer_bytes(&b));
    bool has = agent_has(f, expected);
    buffer_clear(&b);
    ok(pg_write_empty(&b, PG_BACKEND_COPY_DONE));
    ok(pg_write_command_complete(&b, bytes_of_string("COPY 1")));
    ok(pg_write_ready(&b, 'I'));
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    return has && !f->closed;
}

static void test_only_a_copy_of_what_is_masked_is_looked_at(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "COPY people (ssn) TO STDOUT");
    (void)answer_inquiries(f, 'I');
    assert_true(gets_copy(f, "123456\n", "****56\n"));
    assert_false(agent_has(f, "123456"));
    say(f, "COPY people (name) TO STDOUT");
    assert_true(gets_copy(f, "Ann\n", "Ann\n"));
    say(f, "COPY people (ssn) TO STDOUT");
    assert_true(gets_copy(f, "654321\n", "****21\n"));
}

static void test_after_ddl_the_catalog_is_asked_again(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    struct buffer b;
    say(f, "CREATE TABLE other (a int)");
    assert_int_equal(answer_inquiries(f, 'I'), 8);
    buffer_init(&b, 1 << 16);
    ok(pg_write_command_complete(&b, bytes_of_string("CREATE TABLE")));
    ok(pg_write_ready(&b, 'I'));
    buffer_clear(&f->to_target);
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    fingerprint = "second";
    say(f, "SELECT ssn FROM people");
    assert_int_equal(answer_inquiries(f, 'I'), 8);
    assert_true(gets(f, "123456", "****56", 2));
    say(f, "SELECT ssn FROM people");
    assert_int_equal(answer_inquiries(f, 'I'), 0);
}

/* A table that was another one while the catalog was read, and is itself again. */
static void test_what_changes_and_changes_back_meanwhile_is_read_again(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    fingerprint = "same 1:1";
    next_fingerprint = "same 1:2";
    say(f, "SELECT ssn FROM people");
    assert_int_equal(answer_inquiries(f, 'I'), 16);
    assert_true(gets(f, "123456", "****56", 2));
}

static void test_data_in_another_file_are_no_change(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    fingerprint = "same 1:1";
    say(f, "SELECT ssn FROM people");
    assert_int_equal(answer_inquiries(f, 'I'), 8);
    assert_true(gets(f, "123456", "****56", 2));
    fingerprint = "same 1:2";
    f->now += INT64_C(3600000000000);
    say(f, "SELECT ssn FROM people");
    assert_int_equal(answer_inquiries(f, 'I'), 1);
    assert_true(gets(f, "123456", "****56", 2));
}

static void test_a_target_that_does_not_tell_its_catalog_shows_nothing(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    const struct pg_message error = {
        .severity = "ERROR", .sqlstate = "57014", .message = "statement timeout"};
    struct buffer b;
    buffer_init(&b, 1 << 16);
    say(f, "SELECT name FROM people");
    ok(pg_write_error(&b, &error));
    ok(pg_write_ready(&b, 'I'));
    buffer_clear(&f->to_target);
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    assert_false(target_has(f, "people"));
    assert_true(agent_has(f, "catalog"));
    assert_false(f->closed);
    say(f, "SELECT ssn FROM people"); /* it is tried again for the next one */
    assert_int_equal(answer_inquiries(f, 'I'), 8);
    assert_true(gets(f, "123456", "****56", 2));
}

static void test_masks_that_go_away_show_again(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT ssn FROM people");
    (void)answer_inquiries(f, 'I');
    f->masks = (struct protocol_masks){.version = 3, .is_complete = true};
    assert_true(gets(f, "123456", "****56", 2)); /* what was decided before stays so */
    say(f, "SELECT ssn FROM people");
    assert_true(gets(f, "123456", "123456", 2));
    f->masks = (struct protocol_masks){.version = 4, .is_complete = false};
    say(f, "SELECT 1");
    assert_true(agent_has(f, "more masks apply"));
}

static void batch(struct fixture *f, const char *first, const char *second)
{
    struct buffer b;
    const struct bytes none = {0};
    buffer_init(&b, 1 << 16);
    ok(pg_write_parse(&b, none, bytes_of_string(first), NULL, 0));
    ok(pg_write_parse(&b, none, bytes_of_string(second), NULL, 0));
    fixture_agent(f, buffer_bytes(&b));
    buffer_finish(&b);
}

static void test_what_may_be_read_otherwise_is_refused_in_a_batch(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    assert_true(gets(f, "Ann", "Ann", 1));
    batch(f, "SET standard_conforming_strings = off", "SELECT '\\' || ', ssn FROM people -- '");
    assert_true(target_has(f, "SET standard_conforming_strings"));
    assert_false(target_has(f, "ssn FROM people"));
}

static void test_begin_changes_nothing_of_what_is_read(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    assert_true(gets(f, "Ann", "Ann", 1));
    batch(f, "BEGIN", "SELECT '\xc3\xa9'");
    assert_true(target_has(f, "SELECT '\xc3\xa9'"));
}

static void target_says(struct fixture *f, const char *letters, char status)
{
    struct buffer b;
    buffer_init(&b, 1 << 16);
    for (; *letters != '\0'; letters++) {
        ok(pg_write_empty(&b, (uint8_t)*letters));
    }
    ok(pg_write_ready(&b, (uint8_t)status));
    buffer_clear(&f->to_target);
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
}

/* What was bound before the catalog was read changes it when it is executed. */
static void test_the_catalog_is_outdated_behind_the_execute_of_what_changes_it(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    struct buffer b;
    const struct bytes none = {0}, portal = bytes_of_string("later");
    buffer_init(&b, 1 << 16);
    say(f, "BEGIN");
    (void)answer_inquiries(f, 'I');
    ok(pg_write_command_complete(&b, bytes_of_string("BEGIN")));
    ok(pg_write_ready(&b, 'T'));
    fixture_target(f, buffer_bytes(&b));
    buffer_clear(&b);
    ok(pg_write_parse(&b, portal, bytes_of_string("SET search_path TO other"), NULL, 0));
    ok(pg_write_bind(&b, portal, none));
    ok(pg_write_sync(&b));
    fixture_agent(f, buffer_bytes(&b));
    assert_true(target_has(f, "SET search_path"));
    target_says(f, "12", 'T');
    buffer_clear(&b);
    ok(pg_write_execute(&b, portal, 0));
    ok(pg_write_parse(&b, none, bytes_of_string("SELECT name || '' FROM people"), NULL, 0));
    ok(pg_write_bind(&b, none, none));
    fixture_agent(f, buffer_bytes(&b));
    buffer_finish(&b);
    (void)answer_inquiries(f, 'T');
    assert_false(target_has(f, "FROM people"));
    assert_false(f->closed);
}

static void test_what_may_be_read_otherwise_waits_for_the_answer_before(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    say(f, "SELECT '\xc3\xa9'");
    assert_false(target_has(f, "SELECT '\xc3\xa9'"));
    buffer_clear(&f->to_agent);
    struct buffer b;
    buffer_init(&b, 1 << 16);
    describe(&b, "c", 20000, 1);
    ok(pg_write_command_complete(&b, bytes_of_string("SELECT 0")));
    ok(pg_write_ready(&b, 'I'));
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
    assert_true(target_has(f, "SELECT '\xc3\xa9'"));
}

static void field(struct writer *w, char type, const char *value)
{
    writer_put_u8(w, (uint8_t)type);
    writer_put_string(w, value);
}

/* An error with the parser's place; `where` NULL: nothing else ran. */
static void fails(struct fixture *f, const char *words, const char *where)
{
    struct buffer b;
    buffer_init(&b, 1 << 16);
    struct writer w = writer_start(&b);
    writer_put_u8(&w, PG_BACKEND_ERROR);
    size_t length = writer_open_length(&w);
    field(&w, 'S', "ERROR");
    field(&w, 'C', "42601");
    field(&w, 'M', words);
    field(&w, 'P', "8");
    if (where != NULL) {
        field(&w, 'W', where);
    }
    writer_put_u8(&w, 0);
    writer_close_length(&w, length);
    ok(writer_finish(&w));
    buffer_clear(&f->to_agent);
    fixture_target(f, buffer_bytes(&b));
    buffer_finish(&b);
}

static void test_the_parsers_place_in_the_words_of_a_function_shows_nothing(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    fails(f, "syntax error at or near", NULL);
    assert_true(agent_has(f, "syntax error at or near"));
    fails(f, "no: 123456", "PL/pgSQL function tells(text) line 1 at RAISE");
    assert_true(agent_has(f, "withheld") && !agent_has(f, "123456"));
}

static void test_free_text_that_a_setting_reports_is_not_told(void **state)
{
    struct fixture *f = &((struct masked *)*state)->f;
    static const struct {
        const char *name, *value;
        bool is_told;
    } settings[] = {{"application_name", "123456", false},
                    {"TimeZone", "<123456>5", false},
                    {"TimeZone", "qzxvk5", false},
                    {"TimeZone", "America/Port-au-Prince", true},
                    {"client_encoding", "LATIN1", true}};
    say(f, "SELECT name FROM people");
    (void)answer_inquiries(f, 'I');
    for (size_t i = 0; i < sizeof(settings) / sizeof(settings[0]); i++) {
        struct buffer b;
        buffer_init(&b, 1 << 16);
        buffer_clear(&f->to_agent);
        ok(pg_write_parameter_status(&b, bytes_of_string(settings[i].name),
                                     bytes_of_string(settings[i].value)));
        fixture_target(f, buffer_bytes(&b));
        assert_int_equal(agent_has(f, settings[i].value), settings[i].is_told);
        buffer_finish(&b);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(
            test_the_catalog_is_asked_once_and_the_agent_hears_nothing_of_it, setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_what_is_masked_in_the_servers_own_words_is_masked_in_any_case, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_masked_statement_takes_no_memory, setup, teardown),
        cmocka_unit_test_setup_teardown(test_rows_are_in_order_whatever_becomes_of_their_lengths,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_a_row_that_is_none_ends_it_and_what_was_before_is_masked, setup, teardown),
        cmocka_unit_test_setup_teardown(test_only_a_copy_of_what_is_masked_is_looked_at, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_after_ddl_the_catalog_is_asked_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_changes_and_changes_back_meanwhile_is_read_again,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_data_in_another_file_are_no_change, setup, teardown),
        cmocka_unit_test_setup_teardown(test_a_target_that_does_not_tell_its_catalog_shows_nothing,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(test_masks_that_go_away_show_again, setup, teardown),
        cmocka_unit_test_setup_teardown(test_what_may_be_read_otherwise_is_refused_in_a_batch,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_the_catalog_is_outdated_behind_the_execute_of_what_changes_it, setup, teardown),
        cmocka_unit_test_setup_teardown(test_begin_changes_nothing_of_what_is_read, setup,
                                        teardown),
        cmocka_unit_test_setup_teardown(test_what_may_be_read_otherwise_waits_for_the_answer_before,
                                        setup, teardown),
        cmocka_unit_test_setup_teardown(
            test_the_parsers_place_in_the_words_of_a_function_shows_nothing, setup, teardown),
        cmocka_unit_test_setup_teardown(test_free_text_that_a_setting_reports_is_not_told, setup,
                                        teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
