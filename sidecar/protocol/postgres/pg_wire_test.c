/* One vector for every message, each fed again cut at every place, truncated, and with a byte
 * too many. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/protocol/postgres/pg_wire_text.h"

#define INIT(literal)                                                                              \
    {                                                                                              \
        (const uint8_t *)"" literal, sizeof(literal) - 1                                           \
    }
#define BYTES(literal) ((struct bytes)INIT(literal))

enum { FRONTEND, BACKEND };
/* The last field takes whatever there is: a shorter or longer body is another message. */
enum { OPEN_END = 1 };

static const struct vector {
    int side, flags;
    struct bytes message;
    pg_text_fn *read;
    const char *name, *expected;
} vectors[] = {
    {FRONTEND, 0, INIT("Q\0\0\0\x0dSELECT 1\0"), pg_text_string, "Query", "SELECT 1"},
    {FRONTEND, 0, INIT("Q\0\0\0\x05\0"), pg_text_string, "Query", ""},
    {FRONTEND, 0, INIT("P\0\0\0\x1bs1\0SELECT $1\0\0\x02\0\0\0\x17\0\0\0\0"), pg_text_parse,
     "Parse", "name=s1 text=SELECT $1 oids=23;0;"},
    {FRONTEND, 0, INIT("P\0\0\0\x08\0\0\0\0"), pg_text_parse, "Parse", "name= text= oids="},
    {FRONTEND, 0,
     INIT("D\0\0\0\x08S"
          "s1\0"),
     pg_text_target, "Describe", "S s1"},
    {FRONTEND, 0, INIT("C\0\0\0\x06P\0"), pg_text_target, "Close", "P "},
    {FRONTEND, 0, INIT("E\0\0\0\x0bp1\0\0\0\0\x64"), pg_text_execute, "Execute",
     "portal=p1 max=100"},
    {FRONTEND, 0, INIT("E\0\0\0\x09\0\xff\xff\xff\xff"), pg_text_execute, "Execute",
     "portal= max=-1"},
    {FRONTEND, 0,
     INIT("F\0\0\0\x1f\0\0\x03\xb9\0\x02\0\0\0\x01\0\x02\0\0\0\x05hello\xff\xff\xff\xff"
          "\0\x01"),
     pg_text_function_call, "FunctionCall", "function=953 formats=tb 2(hello;NULL;) result=b"},
    {FRONTEND, 0, INIT("f\0\0\0\x09oops\0"), pg_text_string, "CopyFail", "oops"},
    {FRONTEND, 0, INIT("p\0\0\0\x0bsecret\0"), pg_text_string, "PasswordMessage", "secret"},
    {FRONTEND, 0, INIT("S\0\0\0\x04"), pg_text_empty, "Sync", ""},
    {FRONTEND, 0, INIT("H\0\0\0\x04"), pg_text_empty, "Flush", ""},
    {FRONTEND, 0, INIT("X\0\0\0\x04"), pg_text_empty, "Terminate", ""},
    {FRONTEND, 0, INIT("c\0\0\0\x04"), pg_text_empty, "CopyDone", ""},
    {BACKEND, 0, INIT("R\0\0\0\x08\0\0\0\0"), pg_text_authentication, "Authentication", "0 "},
    {BACKEND, 0, INIT("R\0\0\0\x08\0\0\0\x02"), pg_text_authentication, "Authentication", "2 "},
    {BACKEND, 0, INIT("R\0\0\0\x08\0\0\0\x03"), pg_text_authentication, "Authentication", "3 "},
    {BACKEND, 0, INIT("R\0\0\0\x0c\0\0\0\x05salt"), pg_text_authentication, "Authentication",
     "5 salt"},
    {BACKEND, 0, INIT("R\0\0\0\x08\0\0\0\x06"), pg_text_authentication, "Authentication", "6 "},
    {BACKEND, 0, INIT("R\0\0\0\x08\0\0\0\x07"), pg_text_authentication, "Authentication", "7 "},
    {BACKEND, OPEN_END, INIT("R\0\0\0\x0b\0\0\0\x08gss"), pg_text_authentication, "Authentication",
     "8 gss"},
    {BACKEND, 0, INIT("R\0\0\0\x08\0\0\0\x09"), pg_text_authentication, "Authentication", "9 "},
    {BACKEND, 0, INIT("R\0\0\0\x2a\0\0\0\x0aSCRAM-SHA-256-PLUS\0SCRAM-SHA-256\0\0"),
     pg_text_authentication, "Authentication", "sasl SCRAM-SHA-256-PLUS SCRAM-SHA-256"},
    {BACKEND, 0, INIT("R\0\0\0\x09\0\0\0\x0a\0"), pg_text_authentication, "Authentication", "sasl"},
    {BACKEND, OPEN_END, INIT("R\0\0\0\x0c\0\0\0\x0br=ab"), pg_text_authentication, "Authentication",
     "11 r=ab"},
    {BACKEND, OPEN_END, INIT("R\0\0\0\x0c\0\0\0\x0cv=ab"), pg_text_authentication, "Authentication",
     "12 v=ab"},
    {BACKEND, OPEN_END,
     INIT("K\0\0\0\x0c\0\0\x30\x39"
          "abcd"),
     pg_text_key_data, "BackendKeyData", "pid=12345 key=abcd"},
    {BACKEND, 0, INIT("S\0\0\0\x15TimeZone\0Etc/UTC\0"), pg_text_parameter_status,
     "ParameterStatus", "TimeZone=Etc/UTC"},
    {BACKEND, 0, INIT("Z\0\0\0\x05I"), pg_text_ready, "ReadyForQuery", "I"},
    {BACKEND, 0, INIT("Z\0\0\0\x05T"), pg_text_ready, "ReadyForQuery", "T"},
    {BACKEND, 0,
     INIT("Z\0\0\0\x05"
          "E"),
     pg_text_ready, "ReadyForQuery", "E"},
    {BACKEND, 0, INIT("v\0\0\0\x16\0\x03\0\0\0\0\0\x02_pq_.x\0_y\0"), pg_text_negotiate,
     "NegotiateProtocolVersion", "version=30000 2: _pq_.x _y"},
    {BACKEND, 0, INIT("A\0\0\0\x11\0\0\0\x2atopic\0hi\0"), pg_text_notification,
     "NotificationResponse", "pid=42 topic: hi"},
    {BACKEND, 0, INIT("t\0\0\0\x0e\0\x02\0\0\0\x17\0\0\0\x19"), pg_text_parameter_description,
     "ParameterDescription", " oids=23;25;"},
    {BACKEND, 0,
     INIT("T\0\0\0\x32\0\x02id\0\0\0\x40\0\0\x01\0\0\0\x17\0\x04\xff\xff\xff\xff\0\x01"
          "name\0\0\0\0\0\0\0\0\0\x04\x13\xff\xff\0\0\0\x24\0\0"),
     pg_text_row_description, "RowDescription",
     "id table=16384.1 type=23 size=4 mod=-1 b;name table=0.0 type=1043 size=-1 mod=36 t;"},
    {BACKEND, 0, INIT("T\0\0\0\x06\0\0"), pg_text_row_description, "RowDescription", ""},
    {BACKEND, 0, INIT("D\0\0\0\x15\0\x03\0\0\0\x03one\xff\xff\xff\xff\0\0\0\0"), pg_text_row,
     "DataRow", " 3(one;NULL;;)"},
    {BACKEND, 0, INIT("D\0\0\0\x06\0\0"), pg_text_row, "DataRow", " 0()"},
    {BACKEND, 0, INIT("V\0\0\0\x0b\0\0\0\x03one"), pg_text_function_result, "FunctionCallResponse",
     "one"},
    {BACKEND, 0, INIT("V\0\0\0\x08\xff\xff\xff\xff"), pg_text_function_result,
     "FunctionCallResponse", "NULL"},
    {BACKEND, 0, INIT("C\0\0\0\x0dSELECT 5\0"), pg_text_string, "CommandComplete", "SELECT 5"},
    {BACKEND, 0, INIT("G\0\0\0\x0b\0\0\x02\0\0\0\0"), pg_text_copy, "CopyInResponse",
     "t formats=tt"},
    {BACKEND, 0, INIT("H\0\0\0\x0b\x01\0\x02\0\x01\0\x01"), pg_text_copy, "CopyOutResponse",
     "b formats=bb"},
    {BACKEND, 0, INIT("W\0\0\0\x07\0\0\0"), pg_text_copy, "CopyBothResponse", "t formats="},
    {BACKEND, 0, INIT("E\0\0\0\x24SERROR\0VERROR\0C42P01\0Mno table\0\0"), pg_text_fields,
     "ErrorResponse", "[42P01] S=ERROR V=ERROR C=42P01 M=no table"},
    {BACKEND, 0, INIT("N\0\0\0\x05\0"), pg_text_fields, "NoticeResponse", "[]"},
    {BACKEND, 0, INIT("1\0\0\0\x04"), pg_text_empty, "ParseComplete", ""},
    {BACKEND, 0, INIT("2\0\0\0\x04"), pg_text_empty, "BindComplete", ""},
    {BACKEND, 0, INIT("3\0\0\0\x04"), pg_text_empty, "CloseComplete", ""},
    {BACKEND, 0, INIT("n\0\0\0\x04"), pg_text_empty, "NoData", ""},
    {BACKEND, 0, INIT("s\0\0\0\x04"), pg_text_empty, "PortalSuspended", ""},
    {BACKEND, 0, INIT("I\0\0\0\x04"), pg_text_empty, "EmptyQueryResponse", ""},
    {BACKEND, 0, INIT("c\0\0\0\x04"), pg_text_empty, "CopyDone", ""},
};

enum { VECTORS = sizeof(vectors) / sizeof(vectors[0]) };

/* A copy on the heap, exactly as large as the bytes, so that ASan sees a read beyond them. */
static struct bytes exact_copy(struct bytes b, size_t size, void **out_memory)
{
    *out_memory = malloc(size > 0 ? size : 1);
    assert_non_null(*out_memory);
    memset(*out_memory, 0, size);
    memcpy(*out_memory, b.data, b.size < size ? b.size : size);
    return bytes_of(*out_memory, size);
}

static struct bytes body_of(struct bytes message)
{
    return bytes_of(message.data + PG_HEADER_SIZE, message.size - PG_HEADER_SIZE);
}

static void every_message(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct pg_header header;
        assert_int_equal(pg_wire_read_header(v->message, &header), WIRE_OK);
        assert_int_equal(header.type, v->message.data[0]);
        assert_int_equal(header.body_size, v->message.size - PG_HEADER_SIZE);
        const struct pg_kind *kind = v->side == FRONTEND ? pg_wire_frontend_kind(header.type)
                                                         : pg_wire_backend_kind(header.type);
        assert_non_null(kind);
        assert_string_equal(kind->name, v->name);
        assert_true(header.body_size <= kind->max_body);
        struct pg_text text = {.size = 0};
        void *memory;
        struct bytes body = exact_copy(body_of(v->message), header.body_size, &memory);
        assert_int_equal(v->read(body, &text), WIRE_OK);
        assert_string_equal(text.data, v->expected);
        free(memory);
    }
}

/* A message arrives in two pieces: until the second one there is nothing to read. */
static void every_split(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        for (size_t split = 0; split <= v->message.size; split++) {
            void *memory;
            struct pg_header header = {.type = 0};
            struct bytes part = exact_copy(v->message, split, &memory);
            enum wire_result r = pg_wire_read_header(part, &header);
            assert_int_equal(r, split < PG_HEADER_SIZE ? WIRE_NEED_MORE : WIRE_OK);
            if (r == WIRE_OK) {
                assert_int_equal(header.body_size, v->message.size - PG_HEADER_SIZE);
            } else {
                assert_int_equal(header.type, 0);
            }
            free(memory);
        }
    }
}

/* The length lies: the body ends before its last field, or goes on behind it. */
static void every_truncation(void **state)
{
    (void)state;
    for (size_t i = 0; i < VECTORS; i++) {
        const struct vector *v = &vectors[i];
        struct bytes body = body_of(v->message);
        for (size_t size = 0; size <= body.size + 1; size++) {
            if (size == body.size || (v->flags & OPEN_END) != 0) {
                continue;
            }
            struct pg_text text = {.size = 0};
            void *memory;
            struct bytes part = exact_copy(body, size, &memory);
            assert_int_equal(v->read(part, &text), WIRE_MALFORMED);
            free(memory);
        }
    }
}

static void header_lengths(void **state)
{
    (void)state;
    struct pg_header header = {.type = 9};
    assert_int_equal(pg_wire_read_header(BYTES("Q\0\0\0\0"), &header), WIRE_MALFORMED);
    assert_int_equal(pg_wire_read_header(BYTES("Q\0\0\0\x03"), &header), WIRE_MALFORMED);
    assert_int_equal(pg_wire_read_header(BYTES("Q\x40\0\0\x04"), &header), WIRE_MALFORMED);
    assert_int_equal(pg_wire_read_header(BYTES("Q\xff\xff\xff\xff"), &header), WIRE_MALFORMED);
    assert_int_equal(header.type, 9); /* untouched */
    assert_int_equal(pg_wire_read_header(BYTES("d\x40\0\0\x03"), &header), WIRE_OK);
    assert_int_equal(header.body_size, PG_BODY_MAX);
}

static void unknown_types(void **state)
{
    (void)state;
    size_t frontend = 0, backend = 0;
    for (unsigned type = 0; type < 256; type++) {
        frontend += pg_wire_frontend_kind((uint8_t)type) != NULL;
        backend += pg_wire_backend_kind((uint8_t)type) != NULL;
    }
    assert_int_equal(frontend, strlen("BCdcfDEHFPpQSX"));
    assert_int_equal(backend, strlen("R23CWdcGHDIEVKvnNAtS1sZT"));
    assert_null(pg_wire_frontend_kind('Z'));
    assert_null(pg_wire_backend_kind('Q'));
    assert_null(pg_wire_frontend_kind(0));
}

/* Wrong in one field, whole otherwise. */
static void malformed(void **state)
{
    (void)state;
    static const struct {
        pg_text_fn *read;
        struct bytes body;
    } wrong[] = {
        {pg_text_string, INIT("two\0strings\0")},
        {pg_text_parse, INIT("\0\0\xff\xff\0\0\0\x17")},
        {pg_text_target, INIT("Xname\0")},
        {pg_text_target, INIT("\0name\0")},
        {pg_text_function_call, INIT("\0\0\0\1\0\1\0\2\0\0\0\0")}, /* format code 2 */
        {pg_text_function_call,
         INIT("\0\0\0\1\0\2\0\0\0\0\0\1\0\0\0\0\0\0")},        /* 2 codes, 1 value */
        {pg_text_function_call, INIT("\0\0\0\1\0\0\0\0\0\2")}, /* result format 2 */
        {pg_text_authentication, INIT("\0\0\0\1")},
        {pg_text_authentication, INIT("\0\0\0\4")},
        {pg_text_authentication, INIT("\0\0\0\x0d")},
        {pg_text_authentication, INIT("\xff\xff\xff\xff")},
        {pg_text_authentication, INIT("\0\0\0\x05sal")},
        {pg_text_authentication, INIT("\0\0\0\x05salty")},
        {pg_text_authentication, INIT("\0\0\0\x0aSCRAM\0")},
        {pg_text_authentication, INIT("\0\0\0\x0aSCRAM\0\0x")},
        {pg_text_key_data, INIT("\0\0\0\1\0\0\0")},
        {pg_text_ready, INIT("X")},
        {pg_text_ready, INIT("")},
        {pg_text_negotiate, INIT("\0\3\0\0\xff\xff\xff\xff"
                                 "a\0b\0")},
        {pg_text_row_description, INIT("\xff\xff"
                                       "a\0")},
        {pg_text_row_description, INIT("\0\1a\0\0\0\0\0\0\0\0\0\0\x17\0\4\xff\xff\xff\xff\0\2")},
        {pg_text_row, INIT("\0\1\xff\xff\xff\xfe")},     /* a length of -2 */
        {pg_text_row, INIT("\0\1\x80\0\0\0")},           /* INT32_MIN */
        {pg_text_row, INIT("\0\1\x7f\xff\xff\xff")},     /* 2 GiB */
        {pg_text_row, INIT("\xff\xff\xff\xff\xff\xff")}, /* 65535 values, one there */
        {pg_text_row, INIT("\0\1\0\0\0\5four")},
        {pg_text_copy, INIT("\2\0\0")},
        {pg_text_copy, INIT("\0\0\1\0\2")},
        {pg_text_copy, INIT("\0\xff\xff\0\0")},
        {pg_text_fields, INIT("")},
        {pg_text_fields, INIT("Mtext\0")},
        {pg_text_fields, INIT("Mtext")},
        {pg_text_fields, INIT("M")},
    };
    for (size_t i = 0; i < sizeof(wrong) / sizeof(wrong[0]); i++) {
        struct pg_text text = {.size = 0};
        void *memory;
        struct bytes body = exact_copy(wrong[i].body, wrong[i].body.size, &memory);
        assert_int_equal(wrong[i].read(body, &text), WIRE_MALFORMED);
        free(memory);
    }
}

static void key_sizes(void **state)
{
    (void)state;
    uint8_t body[4 + PG_KEY_MAX + 1] = {0};
    struct pg_key_data key;
    assert_int_equal(pg_wire_read_key_data(bytes_of(body, 4 + PG_KEY_MAX), &key), WIRE_OK);
    assert_int_equal(key.key.size, PG_KEY_MAX);
    assert_int_equal(pg_wire_read_key_data(bytes_of(body, sizeof(body)), &key), WIRE_MALFORMED);
}

static void tags(void **state)
{
    (void)state;
    static const struct {
        const char *tag, *command;
        uint64_t rows;
        bool has_rows;
    } cases[] = {
        {"SELECT 5", "SELECT", 5, true},
        {"INSERT 0 12", "INSERT", 12, true},
        {"INSERT 16384 1", "INSERT", 1, true},
        {"UPDATE 0", "UPDATE", 0, true},
        {"COPY 18446744073709551615", "COPY", UINT64_MAX, true},
        {"COPY 18446744073709551616", "COPY", 0, false},
        {"CREATE TABLE", "CREATE TABLE", 0, false},
        {"CREATE TABLE AS", "CREATE TABLE AS", 0, false},
        {"BEGIN", "BEGIN", 0, false},
        {"", "", 0, false},
        {"7", "7", 0, false},
        {" 7", "", 7, true},
        {"X7", "X7", 0, false},
        {"SELECT -7", "SELECT -7", 0, false},
        {"SELECT ", "SELECT ", 0, false},
    };
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        uint64_t rows = 0;
        struct bytes tag = bytes_of_string(cases[i].tag);
        assert_int_equal(pg_tag_rows(tag, &rows), cases[i].has_rows);
        assert_true(rows == cases[i].rows);
        assert_true(bytes_equal_string(pg_tag_command(tag), cases[i].command));
    }
}

static void formats_rule(void **state)
{
    (void)state;
    struct pg_formats none = {.codes = BYTES("")};
    struct pg_formats one = {.codes = BYTES("\0\1")};
    struct pg_formats two = {.codes = BYTES("\0\0\0\1")};
    assert_false(pg_formats_is_binary(&none, 0));
    assert_true(pg_formats_is_binary(&one, 0));
    assert_true(pg_formats_is_binary(&one, 70));
    assert_false(pg_formats_is_binary(&two, 0));
    assert_true(pg_formats_is_binary(&two, 1));
    assert_false(pg_formats_is_binary(&two, 2));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(every_message),    cmocka_unit_test(every_split),
        cmocka_unit_test(every_truncation), cmocka_unit_test(header_lengths),
        cmocka_unit_test(unknown_types),    cmocka_unit_test(malformed),
        cmocka_unit_test(key_sizes),        cmocka_unit_test(tags),
        cmocka_unit_test(formats_rule),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
