/* Whole, cut in two at every place, and byte by byte: the same events. */
#include "sidecar/protocol/postgres/pg_bind.h"

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

#define S(b) (int)(b).size, (const char *)(b).data

/* The events as text, pieces of data joined. */
static void put_event(struct pg_text *t, const struct pg_bind_reader *r, enum pg_bind_event event,
                      struct bytes data)
{
    switch (event) {
    case PG_BIND_NAMES:
        pg_text_put(t, "[%.*s][%.*s] %u", S(r->portal), S(r->statement), (unsigned)r->value_count);
        break;
    case PG_BIND_VALUE:
        pg_text_put(t, " %u:%u%s%s(", (unsigned)r->value_index, (unsigned)r->value_size,
                    r->value_is_null ? "N" : "", r->value_is_binary ? "b" : "t");
        break;
    case PG_BIND_DATA:
        assert_true(data.size > 0);
        pg_text_put(t, "%.*s", S(data));
        break;
    case PG_BIND_VALUE_END: pg_text_put(t, ")"); break;
    case PG_BIND_END:
        pg_text_put(t, " results=");
        for (size_t i = 0; i < r->results.count; i++) {
            pg_text_put(t, "%c", pg_result_formats_is_binary(&r->results, i) ? 'b' : 't');
        }
        break;
    case PG_BIND_MALFORMED: pg_text_put(t, " malformed"); break;
    case PG_BIND_NEED_MORE: break;
    }
}

/* Feeds one piece, from memory that is exactly as large. True at the end. */
static bool feed(struct pg_bind_reader *r, struct bytes piece, struct pg_text *t)
{
    void *memory = malloc(piece.size > 0 ? piece.size : 1);
    assert_non_null(memory);
    memcpy(memory, piece.data, piece.size);
    struct bytes in = bytes_of(memory, piece.size);
    enum pg_bind_event event;
    do {
        struct bytes data = {0};
        event = pg_bind_next(r, &in, &data);
        put_event(t, r, event, data);
    } while (event != PG_BIND_NEED_MORE && event != PG_BIND_END && event != PG_BIND_MALFORMED);
    assert_true(event == PG_BIND_MALFORMED || in.size == 0);
    free(memory);
    return event != PG_BIND_NEED_MORE;
}

static void read_in_pieces(struct bytes body, size_t first, size_t each, struct pg_text *t)
{
    struct pg_bind_reader reader;
    memset(&reader, 0xa5, sizeof(reader)); /* init must not rely on zeroes */
    pg_bind_init(&reader, (uint32_t)body.size);
    t->size = 0;
    size_t size = first;
    bool ended = false;
    while (!ended) {
        size = size < body.size ? size : body.size;
        ended = feed(&reader, bytes_of(body.data, size), t);
        assert_true(ended || body.size > size);
        body = bytes_of(body.data + size, body.size - size);
        size = each;
    }
}

static void assert_events(struct bytes body, const char *expected)
{
    struct pg_text text;
    read_in_pieces(body, body.size, body.size, &text);
    assert_string_equal(text.data, expected);
    for (size_t split = 0; split < body.size; split++) {
        read_in_pieces(body, split, body.size, &text);
        assert_string_equal(text.data, expected);
    }
    for (size_t each = 1; each < 5; each++) {
        read_in_pieces(body, each, each, &text);
        assert_string_equal(text.data, expected);
    }
}

static const struct bytes full = INIT("p1\0s1\0"
                                      "\0\3\0\0\0\1\0\0"
                                      "\0\3\0\0\0\5hello\xff\xff\xff\xff\0\0\0\0"
                                      "\0\2\0\1\0\0");

static void well_formed(void **state)
{
    (void)state;
    assert_events(full, "[p1][s1] 3 0:5t(hello) 1:0Nb() 2:0t() results=bt");
    /* Nothing at all. */
    assert_events(BYTES("\0\0\0\0\0\0\0\0"), "[][] 0 results=");
    /* One code for all parameters, one for all results. */
    assert_events(BYTES("\0s\0\0\1\0\1\0\2\0\0\0\1a\0\0\0\1b\0\1\0\1"),
                  "[][s] 2 0:1b(a) 1:1b(b) results=b");
    /* One code and no parameter at all, as some drivers send it. */
    assert_events(BYTES("\0\0\0\1\0\1\0\0\0\1\0\0"), "[][] 0 results=t");
}

static void result_formats(void **state)
{
    (void)state;
    struct pg_result_formats formats = {.count = 0};
    assert_false(pg_result_formats_is_binary(&formats, 0));
    formats = (struct pg_result_formats){.count = 1, .bits = {1}};
    assert_true(pg_result_formats_is_binary(&formats, 1000));
    formats = (struct pg_result_formats){.count = 3, .bits = {5}};
    assert_true(pg_result_formats_is_binary(&formats, 0));
    assert_false(pg_result_formats_is_binary(&formats, 1));
    assert_true(pg_result_formats_is_binary(&formats, 2));
    assert_false(pg_result_formats_is_binary(&formats, 3));
    assert_false(pg_result_formats_is_binary(&formats, 100000));
}

/* Every shorter body, and a longer one, is refused wherever its end is noticed. */
static void lying_lengths(void **state)
{
    (void)state;
    uint8_t copy[64];
    memcpy(copy, full.data, full.size);
    copy[full.size] = 0;
    for (size_t size = 0; size <= full.size + 1; size++) {
        if (size == full.size) {
            continue;
        }
        struct pg_text whole, bytewise;
        read_in_pieces(bytes_of(copy, size), size, size, &whole);
        assert_string_equal(whole.data + whole.size - 10, " malformed");
        read_in_pieces(bytes_of(copy, size), 1, 1, &bytewise);
        assert_string_equal(whole.data, bytewise.data);
    }
}

static void malformed(void **state)
{
    (void)state;
    assert_events(BYTES("\0\0\0\1\0\2\0\0\0\0"), " malformed");             /* format 2 */
    assert_events(BYTES("\0\0\xff\xff\0\0\0\0"), " malformed");             /* 65535 formats */
    assert_events(BYTES("\0\0\0\0\xff\xff\0\0"), " malformed");             /* 65535 values */
    assert_events(BYTES("\0\0\0\2\0\0\0\0\0\1\0\0\0\0\0\0"), " malformed"); /* 2 codes, 1 value */
    assert_events(BYTES("\0\0\0\0\0\1\xff\xff\xff\xfe\0\0"), "[][] 1 malformed"); /* -2 */
    assert_events(BYTES("\0\0\0\0\0\1\x7f\xff\xff\xff\0\0"), "[][] 1 malformed"); /* 2 GiB */
    assert_events(BYTES("\0\0\0\0\0\1\0\0\0\2xy"), "[][] 1 0:2t(xy) malformed");
    assert_events(BYTES("\0\0\0\0\0\0\0\1\0\2"), "[][] 0 malformed"); /* result format 2 */
    assert_events(BYTES("\0\0\0\0\0\0\0\1"), "[][] 0 malformed");
    assert_events(BYTES("\0\0\0\0\0\0\xff\xff"), "[][] 0 malformed");
    assert_events(BYTES("no end"), " malformed");
    assert_events(BYTES(""), " malformed");
}

static void malformed_stays(void **state)
{
    (void)state;
    struct pg_bind_reader reader;
    struct bytes in = BYTES("\0\0\0\0\0\0\0\0"), data;
    pg_bind_init(&reader, 3);
    assert_int_equal(pg_bind_next(&reader, &in, &data), PG_BIND_MALFORMED);
    in = BYTES("\0\0\0\0\0\0\0\0");
    assert_int_equal(pg_bind_next(&reader, &in, &data), PG_BIND_MALFORMED);
    assert_int_equal(in.size, 8);
}

/* The next message is behind the body in the same input. */
static void what_follows_stays(void **state)
{
    (void)state;
    struct pg_bind_reader reader;
    struct bytes in = BYTES("\0\0\0\0\0\0\0\0S\0\0\0\4"), data;
    pg_bind_init(&reader, 8);
    assert_int_equal(pg_bind_next(&reader, &in, &data), PG_BIND_NAMES);
    assert_int_equal(pg_bind_next(&reader, &in, &data), PG_BIND_END);
    assert_true(bytes_equal(in, BYTES("S\0\0\0\4")));
    assert_int_equal(pg_bind_next(&reader, &in, &data), PG_BIND_END);
    assert_int_equal(in.size, 5);
}

static void long_names(void **state)
{
    (void)state;
    struct pg_bind_reader reader;
    uint8_t body[PG_BIND_NAME_MAX + 9];
    for (size_t length = PG_BIND_NAME_MAX; length <= PG_BIND_NAME_MAX + 1; length++) {
        memset(body, 0, sizeof(body));
        memset(body, 'n', length);
        struct bytes in = bytes_of(body, length + 8), data;
        pg_bind_init(&reader, (uint32_t)in.size);
        enum pg_bind_event event = pg_bind_next(&reader, &in, &data);
        assert_int_equal(event, length == PG_BIND_NAME_MAX ? PG_BIND_NAMES : PG_BIND_MALFORMED);
        if (event == PG_BIND_NAMES) {
            assert_int_equal(reader.portal.size, PG_BIND_NAME_MAX);
            assert_int_equal(reader.statement.size, 0);
        }
    }
}

/* As many of everything as the protocol can say: formats of their own, and a value each. */
static void the_most(void **state)
{
    (void)state;
    size_t count = PG_BIND_VALUES_MAX, columns = PG_RESULT_COLUMNS_MAX;
    size_t size = 2 + 2 + 2 * count + 2 + 5 * count + 2 + 2 * columns;
    uint8_t *body = calloc(1, size);
    assert_non_null(body);
    uint8_t *at = body + 2;
    *at++ = 0xff, *at++ = 0xff;
    for (size_t i = 0; i < count; i++, at += 2) {
        at[1] = i % 3 == 0;
    }
    *at++ = 0xff, *at++ = 0xff;
    for (size_t i = 0; i < count; i++, at += 5) {
        at[3] = 1;
        at[4] = (uint8_t)i;
    }
    *at++ = (uint8_t)(columns >> 8), *at++ = (uint8_t)columns;
    for (size_t i = 0; i < columns; i++, at += 2) {
        at[1] = i % 5 == 0;
    }
    assert_ptr_equal(at, body + size);

    struct pg_bind_reader reader;
    pg_bind_init(&reader, (uint32_t)size);
    struct bytes rest = bytes_of(body, size), data;
    size_t values = 0, pieces = 0;
    enum pg_bind_event event = PG_BIND_NEED_MORE;
    while (event != PG_BIND_END) {
        size_t part = rest.size < 1000 ? rest.size : 1000;
        struct bytes in = bytes_of(rest.data, part);
        while ((event = pg_bind_next(&reader, &in, &data)) != PG_BIND_NEED_MORE) {
            assert_int_not_equal(event, PG_BIND_MALFORMED);
            if (event == PG_BIND_END) {
                break;
            }
            if (event == PG_BIND_VALUE) {
                assert_int_equal(reader.value_index, values);
                assert_int_equal(reader.value_is_binary, values % 3 == 0);
                values++;
            }
            if (event == PG_BIND_DATA) {
                assert_int_equal(data.data[0], (uint8_t)(values - 1));
                pieces++;
            }
        }
        rest = bytes_of(rest.data + part, rest.size - part);
    }
    assert_int_equal(values, count);
    assert_int_equal(pieces, count);
    assert_int_equal(reader.results.count, columns);
    for (size_t i = 0; i < columns; i++) {
        assert_int_equal(pg_result_formats_is_binary(&reader.results, i), i % 5 == 0);
    }
    free(body);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(well_formed),     cmocka_unit_test(result_formats),
        cmocka_unit_test(lying_lengths),   cmocka_unit_test(malformed),
        cmocka_unit_test(malformed_stays), cmocka_unit_test(what_follows_stays),
        cmocka_unit_test(long_names),      cmocka_unit_test(the_most),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
