#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>
#include <stdlib.h>

#include <brotli/encode.h>
#include <zlib.h>
#include <zstd.h>

#include "sidecar/protocol/http/body/http_coding.h"

enum { OUT_MAX = 1 << 26, CODINGS = 4 };

static const char TEXT[] = "What goes in comes out again, comes out again, comes out again.\n";

static struct bytes text(const char *s)
{
    return bytes_of_string(s);
}

/* ---- help ---------------------------------------------------------------------------------- */

static void put_coded(enum http_coding coding, struct bytes in, struct buffer *out)
{
    struct http_encoder *e = NULL;
    assert_int_equal(http_encoder_create(coding, &e), OK);
    assert_int_equal(http_encoder_feed(e, in, HTTP_ENCODER_FINISH, out), OK);
    http_encoder_destroy(e);
}

static enum err step_all(struct http_decoder *d, struct bytes in, size_t room_size,
                         struct buffer *out)
{
    size_t written = 0;
    do {
        uint8_t *room = buffer_reserve(out, room_size);
        assert_non_null(room);
        enum err e = http_decoder_step(d, &in, room, room_size, &written);
        if (e != OK) {
            return e;
        }
        assert_true(written <= room_size);
        assert_true(written > 0 || in.size == 0);
        buffer_commit(out, written);
    } while (written > 0);
    return OK;
}

/* ERR_INVALID also when it is not complete. */
static enum err decode(enum http_coding coding, struct bytes in, size_t piece, size_t room_size,
                       struct buffer *out)
{
    struct http_decoder *d = NULL;
    assert_int_equal(http_decoder_create(coding, &d), OK);
    enum err e = OK;
    for (size_t at = 0; e == OK && at < in.size; at += piece) {
        size_t size = in.size - at < piece ? in.size - at : piece;
        e = step_all(d, bytes_of(in.data + at, size), room_size, out);
    }
    if (e == OK && !http_decoder_is_complete(d)) {
        e = ERR_INVALID;
    }
    http_decoder_destroy(d);
    return e;
}

static void assert_decodes(enum http_coding coding, struct bytes in, struct bytes expected)
{
    static const size_t sizes[] = {1, 7, 65536};
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (size_t i = 0; i < 3; i++) {
        for (size_t j = 0; j < 3; j++) {
            assert_int_equal(decode(coding, in, sizes[i], sizes[j], &out), OK);
            assert_true(bytes_equal(buffer_bytes(&out), expected));
            buffer_clear(&out);
        }
    }
    buffer_finish(&out);
}

static void assert_refuses(enum http_coding coding, struct bytes in)
{
    static const size_t sizes[] = {1, 7, 65536};
    struct buffer out;
    buffer_init(&out, OUT_MAX);
    for (size_t i = 0; i < 3; i++) {
        assert_int_equal(decode(coding, in, sizes[i], 65536, &out), ERR_INVALID);
        buffer_clear(&out);
    }
    buffer_finish(&out);
}

static struct buffer coded_text(enum http_coding coding)
{
    struct buffer b;
    buffer_init(&b, OUT_MAX);
    put_coded(coding, text(TEXT), &b);
    return b;
}

static void append(struct buffer *b, struct bytes more)
{
    assert_int_equal(buffer_append(b, more), OK);
}

/* ---- the field ----------------------------------------------------------------------------- */

static void reads_the_field(void **state)
{
    (void)state;
    static const struct {
        const char *field;
        size_t count;
        enum http_coding codings[HTTP_CODINGS_MAX];
    } good[] = {
        {"", 0, {0}},
        {"identity", 0, {0}},
        {" Identity , identity", 0, {0}},
        {"gzip", 1, {HTTP_CODING_GZIP}},
        {"X-GZIP", 1, {HTTP_CODING_GZIP}},
        {"deflate,\tbr ,zstd", 3, {HTTP_CODING_DEFLATE, HTTP_CODING_BR, HTTP_CODING_ZSTD}},
        {"identity, br", 1, {HTTP_CODING_BR}},
    };
    for (size_t i = 0; i < sizeof(good) / sizeof(good[0]); i++) {
        enum http_coding codings[HTTP_CODINGS_MAX];
        size_t count = 9;
        assert_int_equal(http_coding_parse(text(good[i].field), codings, &count, NULL), OK);
        assert_int_equal(count, good[i].count);
        assert_memory_equal(codings, good[i].codings, count * sizeof(codings[0]));
    }
}

static void refuses_fields_that_are_not_understood(void **state)
{
    (void)state;
    static const char *const bad[] = {
        "compress", "gzip, gzip", "gzip, x-gzip", "gzip,,br", "gzip,",
        ",gzip",    ",",          "gzip;q=1",     "g zip",    "gzi",
        "gzipp",    "gzip br",    "dcb",          "*",        "gzip, deflate, br, zstd",
        "\"gzip\"", "gzip\0"};
    for (size_t i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
        enum http_coding codings[HTTP_CODINGS_MAX];
        size_t count = 9;
        struct err_text why = {""};
        struct bytes field =
            i + 1 == sizeof(bad) / sizeof(bad[0]) ? bytes_of("gzip\0", 5) : text(bad[i]);
        assert_int_equal(http_coding_parse(field, codings, &count, &why), ERR_DENIED);
        assert_int_equal(count, 9);
        assert_true(why.text[0] != '\0');
    }
}

/* ---- all codings --------------------------------------------------------------------------- */

static void what_is_encoded_is_decoded(void **state)
{
    (void)state;
    enum { SIZE = 300000 };
    uint8_t *data = malloc(SIZE);
    assert_non_null(data);
    uint32_t random = 1;
    for (size_t i = 0; i < SIZE; i++) {
        random = random * 1664525 + 1013904223;
        data[i] = i < SIZE / 2 ? (uint8_t)(random >> 24) : (uint8_t)TEXT[i % sizeof(TEXT)];
    }
    for (int c = 0; c < CODINGS; c++) {
        struct buffer b = coded_text((enum http_coding)c);
        assert_decodes((enum http_coding)c, buffer_bytes(&b), text(TEXT));
        buffer_clear(&b);
        put_coded((enum http_coding)c, bytes_of(data, SIZE), &b);
        assert_decodes((enum http_coding)c, buffer_bytes(&b), bytes_of(data, SIZE));
        buffer_clear(&b);
        put_coded((enum http_coding)c, text(""), &b);
        assert_true(buffer_size(&b) > 0);
        assert_decodes((enum http_coding)c, buffer_bytes(&b), text(""));
        buffer_finish(&b);
        assert_decodes((enum http_coding)c, text(""), text(""));
    }
    free(data);
}

static void what_was_fed_is_there_at_once(void **state)
{
    (void)state;
    for (int c = 0; c < CODINGS; c++) {
        struct http_encoder *e = NULL;
        struct http_decoder *d = NULL;
        struct buffer coded, plain;
        buffer_init(&coded, OUT_MAX);
        buffer_init(&plain, OUT_MAX);
        assert_int_equal(http_encoder_create((enum http_coding)c, &e), OK);
        assert_int_equal(http_decoder_create((enum http_coding)c, &d), OK);
        for (size_t i = 0; i < sizeof(TEXT) - 1; i++) {
            assert_int_equal(
                http_encoder_feed(e, bytes_of(TEXT + i, 1), HTTP_ENCODER_FLUSH, &coded), OK);
            assert_int_equal(step_all(d, buffer_bytes(&coded), 64, &plain), OK);
            assert_true(bytes_equal(buffer_bytes(&plain), bytes_of(TEXT, i + 1)));
            assert_false(http_decoder_is_complete(d));
            buffer_clear(&coded);
        }
        assert_int_equal(http_encoder_feed(e, text(""), HTTP_ENCODER_FINISH, &coded), OK);
        assert_int_equal(step_all(d, buffer_bytes(&coded), 64, &plain), OK);
        assert_true(http_decoder_is_complete(d));
        assert_true(bytes_equal(buffer_bytes(&plain), text(TEXT)));
        http_encoder_destroy(e);
        http_decoder_destroy(d);
        buffer_finish(&coded);
        buffer_finish(&plain);
    }
}

static void a_stream_that_ends_early_is_refused(void **state)
{
    (void)state;
    for (int c = 0; c < CODINGS; c++) {
        struct buffer b = coded_text((enum http_coding)c);
        for (size_t size = 1; size < buffer_size(&b); size++) {
            assert_refuses((enum http_coding)c, bytes_of(b.data, size));
        }
        buffer_finish(&b);
    }
}

static void bytes_behind_the_end_are_refused(void **state)
{
    (void)state;
    static const char *const garbage[] = {"x", "\n", "<!-- -->", "\x1f", "\x1f\x8b"};
    for (int c = 0; c < CODINGS; c++) {
        struct buffer b = coded_text((enum http_coding)c);
        size_t whole = buffer_size(&b);
        for (size_t i = 0; i < sizeof(garbage) / sizeof(garbage[0]); i++) {
            append(&b, text(garbage[i]));
            assert_refuses((enum http_coding)c, buffer_bytes(&b));
            b.end = b.start + whole;
        }
        append(&b, bytes_of("\0\0\0\0", 4));
        assert_refuses((enum http_coding)c, buffer_bytes(&b));
        buffer_finish(&b);
    }
}

/* Of other codings, and plain text. */
static void what_is_of_no_coding_is_refused(void **state)
{
    (void)state;
    for (int c = 0; c < CODINGS; c++) {
        assert_refuses((enum http_coding)c, text("{\"plain\": \"text\", \"of\": \"some length\"}"));
        for (int other = 0; other < CODINGS; other++) {
            struct buffer b = coded_text((enum http_coding)other);
            if (other != c) {
                assert_refuses((enum http_coding)c, buffer_bytes(&b));
            }
            buffer_finish(&b);
        }
    }
}

/* ---- one by one ---------------------------------------------------------------------------- */

static void gzip_members_follow_one_another(void **state)
{
    (void)state;
    struct buffer b, expected;
    buffer_init(&b, OUT_MAX);
    buffer_init(&expected, OUT_MAX);
    for (int i = 0; i < 3; i++) {
        put_coded(HTTP_CODING_GZIP, text(TEXT), &b);
        put_coded(HTTP_CODING_GZIP, text(""), &b);
        append(&expected, text(TEXT));
    }
    assert_decodes(HTTP_CODING_GZIP, buffer_bytes(&b), buffer_bytes(&expected));
    b.end -= 20; /* the last, empty member */
    b.end -= 4;  /* and of the one before it */
    assert_refuses(HTTP_CODING_GZIP, buffer_bytes(&b));
    buffer_finish(&b);
    buffer_finish(&expected);
}

static void other_streams_do_not_follow_one_another(void **state)
{
    (void)state;
    static const enum http_coding codings[] = {HTTP_CODING_DEFLATE, HTTP_CODING_BR};
    for (size_t i = 0; i < 2; i++) {
        struct buffer b = coded_text(codings[i]);
        put_coded(codings[i], text(TEXT), &b);
        assert_refuses(codings[i], buffer_bytes(&b));
        buffer_finish(&b);
    }
}

static void checksums_are_checked(void **state)
{
    (void)state;
    struct buffer gzip = coded_text(HTTP_CODING_GZIP), deflate = coded_text(HTTP_CODING_DEFLATE);
    gzip.data[gzip.end - 8] ^= 1;
    assert_refuses(HTTP_CODING_GZIP, buffer_bytes(&gzip));
    gzip.data[gzip.end - 8] ^= 1;
    gzip.data[gzip.end - 1] ^= 1; /* the size */
    assert_refuses(HTTP_CODING_GZIP, buffer_bytes(&gzip));
    deflate.data[deflate.end - 1] ^= 1;
    assert_refuses(HTTP_CODING_DEFLATE, buffer_bytes(&deflate));
    buffer_finish(&gzip);
    buffer_finish(&deflate);
}

static void put_zlib(int bits, const char *dictionary, struct buffer *out)
{
    z_stream z = {0};
    assert_int_equal(deflateInit2(&z, 6, Z_DEFLATED, bits, 8, Z_DEFAULT_STRATEGY), Z_OK);
    if (dictionary != NULL) {
        assert_int_equal(
            deflateSetDictionary(&z, (const Bytef *)dictionary, (uInt)strlen(dictionary)), Z_OK);
    }
    uint8_t room[512];
    z.next_in = (Bytef *)(uintptr_t)TEXT;
    z.avail_in = sizeof(TEXT) - 1;
    z.next_out = room;
    z.avail_out = sizeof(room);
    assert_int_equal(deflate(&z, Z_FINISH), Z_STREAM_END);
    append(out, bytes_of(room, sizeof(room) - z.avail_out));
    (void)deflateEnd(&z);
}

static void deflate_is_zlib_without_dictionary(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, OUT_MAX);
    put_zlib(15, NULL, &b);
    assert_decodes(HTTP_CODING_DEFLATE, buffer_bytes(&b), text(TEXT));
    buffer_clear(&b);
    put_zlib(-15, NULL, &b);
    assert_refuses(HTTP_CODING_DEFLATE, buffer_bytes(&b));
    buffer_clear(&b);
    put_zlib(15, "comes out again", &b);
    assert_refuses(HTTP_CODING_DEFLATE, buffer_bytes(&b));
    buffer_finish(&b);
}

static void put_brotli(int window, bool is_large, struct buffer *out)
{
    BrotliEncoderState *e = BrotliEncoderCreateInstance(NULL, NULL, NULL);
    assert_non_null(e);
    assert_true(BrotliEncoderSetParameter(e, BROTLI_PARAM_LARGE_WINDOW, is_large));
    assert_true(BrotliEncoderSetParameter(e, BROTLI_PARAM_LGWIN, (uint32_t)window));
    uint8_t room[512], *to = room;
    size_t in_size = sizeof(TEXT) - 1, room_size = sizeof(room);
    const uint8_t *in = (const uint8_t *)TEXT;
    assert_true(BrotliEncoderCompressStream(e, BROTLI_OPERATION_FINISH, &in_size, &in, &room_size,
                                            &to, NULL));
    append(out, bytes_of(room, sizeof(room) - room_size));
    BrotliEncoderDestroyInstance(e);
}

static void brotli_has_no_large_windows(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, OUT_MAX);
    put_brotli(24, false, &b);
    assert_decodes(HTTP_CODING_BR, buffer_bytes(&b), text(TEXT));
    buffer_clear(&b);
    put_brotli(28, true, &b);
    assert_refuses(HTTP_CODING_BR, buffer_bytes(&b));
    buffer_finish(&b);
}

/* The window is in the frame's header: only streams of unknown size have one. */
static void put_zstd(int window, struct buffer *out)
{
    ZSTD_CCtx *c = ZSTD_createCCtx();
    assert_non_null(c);
    assert_false(ZSTD_isError(ZSTD_CCtx_setParameter(c, ZSTD_c_windowLog, window)));
    uint8_t room[512];
    ZSTD_inBuffer in = {.src = TEXT, .size = sizeof(TEXT) - 1};
    ZSTD_outBuffer to = {.dst = room, .size = sizeof(room)};
    assert_false(ZSTD_isError(ZSTD_compressStream2(c, &to, &in, ZSTD_e_flush)));
    assert_int_equal(ZSTD_compressStream2(c, &to, &in, ZSTD_e_end), 0);
    append(out, bytes_of(room, to.pos));
    (void)ZSTD_freeCCtx(c);
}

static void zstd_windows_are_bounded(void **state)
{
    (void)state;
    struct buffer b;
    buffer_init(&b, OUT_MAX);
    put_zstd(23, &b);
    assert_decodes(HTTP_CODING_ZSTD, buffer_bytes(&b), text(TEXT));
    for (int window = 24; window <= 27; window++) {
        buffer_clear(&b);
        put_zstd(window, &b);
        assert_refuses(HTTP_CODING_ZSTD, buffer_bytes(&b));
    }
    buffer_finish(&b);
}

static void zstd_frames_follow_one_another(void **state)
{
    (void)state;
    /* RFC 8878 section 3.1.2: skippable, of 3 bytes, and of none. */
    static const char skippable[] = "\x50\x2a\x4d\x18\x03\0\0\0abc\x5f\x2a\x4d\x18\0\0\0";
    struct bytes skipped = bytes_of(skippable, 8 + 3 + 8);
    struct buffer b, expected;
    buffer_init(&b, OUT_MAX);
    buffer_init(&expected, OUT_MAX);
    append(&b, skipped);
    assert_decodes(HTTP_CODING_ZSTD, buffer_bytes(&b), text(""));
    for (int i = 0; i < 3; i++) {
        put_coded(HTTP_CODING_ZSTD, text(TEXT), &b);
        append(&b, skipped);
        append(&expected, text(TEXT));
    }
    assert_decodes(HTTP_CODING_ZSTD, buffer_bytes(&b), buffer_bytes(&expected));
    b.end--;
    assert_refuses(HTTP_CODING_ZSTD, buffer_bytes(&b));
    buffer_finish(&b);
    buffer_finish(&expected);
}

static void the_outputs_cap_is_kept(void **state)
{
    (void)state;
    for (int c = 0; c < CODINGS; c++) {
        struct http_encoder *e = NULL;
        struct buffer small;
        buffer_init(&small, 100);
        assert_int_equal(http_encoder_create((enum http_coding)c, &e), OK);
        assert_int_equal(http_encoder_feed(e, text(TEXT), HTTP_ENCODER_FINISH, &small), ERR_LIMIT);
        http_encoder_destroy(e);
        buffer_finish(&small);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(reads_the_field),
        cmocka_unit_test(refuses_fields_that_are_not_understood),
        cmocka_unit_test(what_is_encoded_is_decoded),
        cmocka_unit_test(what_was_fed_is_there_at_once),
        cmocka_unit_test(a_stream_that_ends_early_is_refused),
        cmocka_unit_test(bytes_behind_the_end_are_refused),
        cmocka_unit_test(what_is_of_no_coding_is_refused),
        cmocka_unit_test(gzip_members_follow_one_another),
        cmocka_unit_test(other_streams_do_not_follow_one_another),
        cmocka_unit_test(checksums_are_checked),
        cmocka_unit_test(deflate_is_zlib_without_dictionary),
        cmocka_unit_test(brotli_has_no_large_windows),
        cmocka_unit_test(zstd_windows_are_bounded),
        cmocka_unit_test(zstd_frames_follow_one_another),
        cmocka_unit_test(the_outputs_cap_is_kept),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
