#include "sidecar/protocol/postgres/pg_startup.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#define INIT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)"" literal, sizeof(literal) - 1                                           \
    }
#define BYTES(literal) ((struct bytes)INIT(literal))

/* Reads a copy that is exactly as large as the bytes. The view then borrows `packet`. */
static enum wire_result read_exact(struct bytes packet, size_t size, struct pg_startup *out)
{
    void *memory = malloc(size > 0 ? size : 1);
    assert_non_null(memory);
    memcpy(memory, packet.data, size);
    struct pg_startup ignored;
    enum wire_result r = pg_startup_read(bytes_of(memory, size), &ignored);
    free(memory);
    assert_int_equal(pg_startup_read(bytes_of(packet.data, size), out), r);
    return r;
}

static const struct bytes startup = INIT("\0\0\0\x2c\0\3\0\0user\0ann\0database\0shop\0user\0bob\0"
                                         "x\0\0\0");
static const struct bytes cancel = INIT("\0\0\0\x10\4\xd2\x16\x2e\0\0\0\7abcd");
static const struct bytes cancel_long = INIT("\0\0\0\x14\4\xd2\x16\x2e\0\0\0\7abcdefgh");
static const struct bytes ssl = INIT("\0\0\0\x08\4\xd2\x16\x2f");
static const struct bytes gssenc = INIT("\0\0\0\x08\4\xd2\x16\x30");

static void packets_at_every_split(void **state)
{
    (void)state;
    const struct {
        struct bytes packet;
        enum pg_startup_kind kind;
    } vectors[] = {
        {startup, PG_STARTUP_MESSAGE},    {cancel, PG_STARTUP_CANCEL},
        {cancel_long, PG_STARTUP_CANCEL}, {ssl, PG_STARTUP_SSL},
        {gssenc, PG_STARTUP_GSSENC},
    };
    for (size_t i = 0; i < sizeof(vectors) / sizeof(vectors[0]); i++) {
        for (size_t size = 0; size <= vectors[i].packet.size; size++) {
            struct pg_startup got;
            enum wire_result r = read_exact(vectors[i].packet, size, &got);
            if (size < vectors[i].packet.size) {
                assert_int_equal(r, WIRE_NEED_MORE);
                continue;
            }
            assert_int_equal(r, WIRE_OK);
            assert_int_equal(got.kind, vectors[i].kind);
            assert_int_equal(got.size, vectors[i].packet.size);
        }
    }
}

static void parameters(void **state)
{
    (void)state;
    struct pg_startup got;
    assert_int_equal(pg_startup_read(startup, &got), WIRE_OK);
    assert_int_equal(got.major, 3);
    assert_int_equal(got.minor, 0);
    static const char *const pairs[][2] = {
        {"user", "ann"}, {"database", "shop"}, {"user", "bob"}, {"x", ""}};
    struct bytes rest = got.parameters;
    struct pg_setting setting;
    size_t n = 0;
    for (; pg_startup_next(&rest, &setting); n++) {
        assert_true(n < 4);
        assert_true(bytes_equal_string(setting.name, pairs[n][0]));
        assert_true(bytes_equal_string(setting.value, pairs[n][1]));
    }
    assert_int_equal(n, 4);
    struct bytes value = BYTES("before");
    assert_int_equal(pg_startup_find(&got, "user", &value), 2);
    assert_true(bytes_equal_string(value, "bob"));
    assert_int_equal(pg_startup_find(&got, "use", &value), 0);
    assert_true(bytes_equal_string(value, "bob"));
    assert_int_equal(pg_startup_find(&got, "x", &value), 1);
    assert_int_equal(value.size, 0);
}

static void what_follows_stays(void **state)
{
    (void)state;
    struct pg_startup got;
    assert_int_equal(pg_startup_read(BYTES("\0\0\0\x08\4\xd2\x16\x2f\x16\3\1"), &got), WIRE_OK);
    assert_int_equal(got.size, 8);
}

static void cancel_keys(void **state)
{
    (void)state;
    struct pg_startup got;
    assert_int_equal(pg_startup_read(cancel, &got), WIRE_OK);
    assert_int_equal(got.cancel.process_id, 7);
    assert_true(bytes_equal_string(got.cancel.key, "abcd"));
    assert_int_equal(pg_startup_read(cancel_long, &got), WIRE_OK);
    assert_true(bytes_equal_string(got.cancel.key, "abcdefgh"));
    uint8_t packet[12 + PG_KEY_MAX + 1] = {0, 0, 1, 12, 4, 0xd2, 0x16, 0x2e};
    assert_int_equal(pg_startup_read(bytes_of(packet, 12 + PG_KEY_MAX), &got), WIRE_OK);
    assert_int_equal(got.cancel.key.size, PG_KEY_MAX);
    packet[3]++;
    assert_int_equal(pg_startup_read(bytes_of(packet, sizeof(packet)), &got), WIRE_MALFORMED);
}

static void versions(void **state)
{
    (void)state;
    struct pg_startup got;
    assert_int_equal(pg_startup_read(BYTES("\0\0\0\x09\0\3\0\2\0"), &got), WIRE_OK);
    assert_int_equal(got.minor, 2);
    /* Another major: its parameters have a format of their own. */
    assert_int_equal(pg_startup_read(BYTES("\0\0\0\x0c\0\2\0\0abcd"), &got), WIRE_OK);
    assert_int_equal(got.major, 2);
    assert_int_equal(got.parameters.size, 0);
}

static void malformed(void **state)
{
    (void)state;
    static const struct bytes wrong[] = {
        INIT("\0\0\0\x00"),                          /* below the minimum */
        INIT("\0\0\0\x07"),                          /* likewise */
        INIT("\0\0\x27\x11"),                        /* 10001, at once */
        INIT("\xff\xff\xff\xff"),                    /* at once */
        INIT("GET / HTTP/1.1\r\n"),                  /* not our protocol */
        INIT("\x16\3\1\2\0\1\0"),                    /* a TLS ClientHello */
        INIT("\0\0\0\x09\4\xd2\x16\x2f\0"),          /* SSLRequest with a byte more */
        INIT("\0\0\0\x09\4\xd2\x16\x30\0"),          /* GSSENCRequest likewise */
        INIT("\0\0\0\x08\4\xd2\x16\x31"),            /* an unknown request */
        INIT("\0\0\0\x0f\4\xd2\x16\x2e\0\0\0\7abc"), /* a key of 3 bytes */
        INIT("\0\0\0\x08\4\xd2\x16\x2e"),            /* no key */
        INIT("\0\0\0\x08\0\3\0\0"),                  /* no end of the list */
        INIT("\0\0\0\x0e\0\3\0\0user\0a"),           /* no end of the value */
        INIT("\0\0\0\x0f\0\3\0\0user\0a\0"),         /* no end of the list */
        INIT("\0\0\0\x0e\0\3\0\0user\0\0"),          /* the value is the list's end */
        INIT("\0\0\0\x0c\0\3\0\0user"),              /* no end of the name */
        INIT("\0\0\0\x12\0\3\0\0user\0a\0\0\0\0"),   /* bytes behind the end */
        INIT("\0\0\0\x0a\0\3\0\0\0\0"),              /* likewise */
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct pg_startup got = {.size = 77};
        assert_int_equal(read_exact(wrong[i], wrong[i].size, &got), WIRE_MALFORMED);
        assert_int_equal(got.size, 77);
    }
}

static void direct_tls(void **state)
{
    (void)state;
    assert_true(pg_startup_is_tls(BYTES("\x16\3\1")));
    assert_false(pg_startup_is_tls(ssl));
    assert_false(pg_startup_is_tls(BYTES("")));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(packets_at_every_split),
        cmocka_unit_test(parameters),
        cmocka_unit_test(what_follows_stays),
        cmocka_unit_test(cancel_keys),
        cmocka_unit_test(versions),
        cmocka_unit_test(malformed),
        cmocka_unit_test(direct_tls),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
