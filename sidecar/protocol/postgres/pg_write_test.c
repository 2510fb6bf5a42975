#include "sidecar/protocol/postgres/pg_write.h"

#include "sidecar/protocol/postgres/pg_sqlstate.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define INIT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)"" literal, sizeof(literal) - 1                                           \
    }
#define BYTES(literal) ((struct bytes)INIT(literal))

/* Writes one message; each case knows its own arguments. */
static enum err write_case(int which, struct buffer *out)
{
    static const struct pg_message denied = {.severity = "ERROR",
                                             .sqlstate = PG_SQLSTATE_INSUFFICIENT_PRIVILEGE,
                                             .message = "no",
                                             .detail = "d",
                                             .hint = "h",
                                             .position = 4294967295};
    static const struct pg_message note = {
        .severity = "NOTICE", .sqlstate = PG_SQLSTATE_SUCCESS, .message = "hi"};
    static const struct pg_setting settings[] = {
        {.name = {(const uint8_t *)"user", 4}, .value = {(const uint8_t *)"ann", 3}},
        {.name = {(const uint8_t *)"x", 1}, .value = {0}}};
    static const struct pg_value values[] = {
        {.data = {(const uint8_t *)"one", 3}}, {.is_null = true}, {.is_null = false}};
    static const uint32_t types[] = {23, 0};
    switch (which) {
    case 0: return pg_write_error(out, &denied);
    case 1: return pg_write_notice(out, &note);
    case 2: return pg_write_ready(out, 'T');
    case 3: return pg_write_authentication_ok(out);
    case 4: return pg_write_authentication_cleartext(out);
    case 5: return pg_write_key_data(out, 12345, BYTES("abcd"));
    case 6: return pg_write_parameter_status(out, BYTES("TimeZone"), BYTES("UTC"));
    case 7: return pg_write_startup(out, PG_VERSION_3_0, settings, 2);
    case 8: return pg_write_ssl_request(out);
    case 9: return pg_write_password(out, BYTES("secret"));
    case 10: return pg_write_sasl_initial(out, "SCRAM-SHA-256", BYTES("n,,"));
    case 11: return pg_write_sasl_response(out, BYTES("c=biws"));
    case 12: return pg_write_cancel(out, 7, BYTES("abcdefgh"));
    case 13: return pg_write_query(out, BYTES("SELECT 1"));
    case 14: return pg_write_parse(out, BYTES("s"), BYTES("SELECT $1"), types, 2);
    case 15: return pg_write_sync(out);
    case 16: return pg_write_negotiate(out, PG_VERSION_3_0, &settings[1].name, 1);
    case 17: return pg_write_terminate(out);
    case 18: return pg_write_row(out, values, 3);
    case 19: return pg_write_command_complete(out, BYTES("SELECT 5"));
    case 20: return pg_write_target(out, PG_FRONTEND_CLOSE, 'S', BYTES("s1"));
    case 21: return pg_write_execute(out, BYTES("p"), 100);
    case 22: return pg_write_copy_fail(out, "oops");
    case 23: return pg_write_body(out, PG_FRONTEND_COPY_DATA, BYTES("1\t2\n"));
    case 24: return pg_write_header(out, PG_BACKEND_DATA_ROW, PG_BODY_MAX);
    case 25: return pg_write_bind(out, BYTES("q"), BYTES(""));
    case 26: return pg_write_bind(out, BYTES("q"), BYTES("\0\0\0\1\0\0\0\1x"));
    default: fail(); return ERR_INTERNAL;
    }
}

static const struct bytes expected[] = {
    INIT("E\0\0\0\x30SERROR\0VERROR\0C42501\0Mno\0Dd\0Hh\0P4294967295\0\0"),
    INIT("N\0\0\0\x20SNOTICE\0VNOTICE\0C00000\0Mhi\0\0"),
    INIT("Z\0\0\0\x05T"),
    INIT("R\0\0\0\x08\0\0\0\0"),
    INIT("R\0\0\0\x08\0\0\0\3"),
    INIT("K\0\0\0\x0c\0\0\x30\x39"
         "abcd"),
    INIT("S\0\0\0\x11TimeZone\0UTC\0"),
    INIT("\0\0\0\x15\0\3\0\0user\0ann\0x\0\0\0"),
    INIT("\0\0\0\x08\4\xd2\x16\x2f"),
    INIT("p\0\0\0\x0bsecret\0"),
    INIT("p\0\0\0\x19SCRAM-SHA-256\0\0\0\0\3n,,"),
    INIT("p\0\0\0\x0a"
         "c=biws"),
    INIT("\0\0\0\x14\4\xd2\x16\x2e\0\0\0\7abcdefgh"),
    INIT("Q\0\0\0\x0dSELECT 1\0"),
    INIT("P\0\0\0\x1as\0SELECT $1\0\0\2\0\0\0\x17\0\0\0\0"),
    INIT("S\0\0\0\4"),
    INIT("v\0\0\0\x0e\0\3\0\0\0\0\0\1x\0"),
    INIT("X\0\0\0\4"),
    INIT("D\0\0\0\x15\0\3\0\0\0\3one\xff\xff\xff\xff\0\0\0\0"),
    INIT("C\0\0\0\x0dSELECT 5\0"),
    INIT("C\0\0\0\x08Ss1\0"),
    INIT("E\0\0\0\x0ap\0\0\0\0\x64"),
    INIT("f\0\0\0\x09oops\0"),
    INIT("d\0\0\0\x08"
         "1\t2\n"),
    INIT("D\x40\0\0\3"),
    INIT("B\0\0\0\x0eq\0q\0\0\0\0\0\0\0"),
    INIT("B\0\0\0\x13q\0q\0\0\0\0\1\0\0\0\1x\0\0"),
};

enum { CASES = sizeof(expected) / sizeof(expected[0]) };

/* Behind something else in the buffer, and with a cap that fits exactly. */
static void every_message(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        struct buffer out;
        buffer_init(&out, expected[i].size + 2);
        assert_int_equal(buffer_append(&out, BYTES("##")), OK);
        assert_int_equal(write_case(i, &out), OK);
        buffer_consume(&out, 2);
        assert_int_equal(buffer_size(&out), expected[i].size);
        assert_memory_equal(buffer_bytes(&out).data, expected[i].data, expected[i].size);
        buffer_finish(&out);
    }
}

/* A message that does not fit leaves nothing of itself, whatever the room is. */
static void every_short_cap(void **state)
{
    (void)state;
    for (int i = 0; i < CASES; i++) {
        for (size_t cap = 2; cap < expected[i].size + 2; cap++) {
            struct buffer out;
            buffer_init(&out, cap);
            assert_int_equal(buffer_append(&out, BYTES("##")), OK);
            assert_int_equal(write_case(i, &out), ERR_LIMIT);
            assert_true(bytes_equal(buffer_bytes(&out), BYTES("##")));
            buffer_finish(&out);
        }
    }
}

static void zero_bytes_are_refused(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 1000);
    struct bytes bad = BYTES("ann\0database\0secrets");
    struct pg_setting setting = {.name = BYTES("user"), .value = bad};
    assert_int_equal(pg_write_startup(&out, PG_VERSION_3_0, &setting, 1), ERR_INVALID);
    setting = (struct pg_setting){.name = bad, .value = BYTES("x")};
    assert_int_equal(pg_write_startup(&out, PG_VERSION_3_0, &setting, 1), ERR_INVALID);
    setting = (struct pg_setting){.value = BYTES("x")};
    assert_int_equal(pg_write_startup(&out, PG_VERSION_3_0, &setting, 1), ERR_INVALID);
    assert_int_equal(pg_write_query(&out, bad), ERR_INVALID);
    assert_int_equal(pg_write_password(&out, bad), ERR_INVALID);
    assert_int_equal(pg_write_parse(&out, bad, BYTES(""), NULL, 0), ERR_INVALID);
    assert_int_equal(pg_write_parse(&out, BYTES(""), bad, NULL, 0), ERR_INVALID);
    assert_int_equal(pg_write_parameter_status(&out, BYTES("x"), bad), ERR_INVALID);
    assert_int_equal(pg_write_target(&out, 'C', 'S', bad), ERR_INVALID);
    assert_int_equal(buffer_size(&out), 0);
    buffer_finish(&out);
}

static void limits(void **state)
{
    (void)state;
    struct buffer out;
    buffer_init(&out, 100000);
    assert_int_equal(pg_write_header(&out, 'D', PG_BODY_MAX + 1U), ERR_LIMIT);
    uint8_t *large = calloc(1, PG_STARTUP_SIZE_MAX);
    assert_non_null(large);
    memset(large, 'x', PG_STARTUP_SIZE_MAX);
    /* 4 + 4 + "user\0" + value + "\0" + "\0" */
    struct pg_setting setting = {.name = BYTES("user"),
                                 .value = bytes_of(large, PG_STARTUP_SIZE_MAX - 15)};
    assert_int_equal(pg_write_startup(&out, PG_VERSION_3_0, &setting, 1), OK);
    struct pg_startup got;
    assert_int_equal(pg_startup_read(buffer_bytes(&out), &got), WIRE_OK);
    buffer_clear(&out);
    setting.value.size++;
    assert_int_equal(pg_write_startup(&out, PG_VERSION_3_0, &setting, 1), ERR_LIMIT);
    assert_int_equal(buffer_size(&out), 0);
    free(large);
    buffer_finish(&out);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message),
        cmocka_unit_test(every_short_cap),
        cmocka_unit_test(zero_bytes_are_refused),
        cmocka_unit_test(limits),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
