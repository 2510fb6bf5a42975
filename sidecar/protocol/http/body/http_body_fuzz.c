/* The first byte says which type, the second which codings and whether there are masks, the third
 * how large the pieces are, the fourth where the secret is planted; the rest is the body, or its
 * coded bytes. In pieces or whole, the same comes of it; and the secret is not in it. */
#include <stdlib.h>

#include "sidecar/protocol/http/body/http_body_support.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { HEAD = 4, BODY_MAX = 1 << 16 };

static const char *const types[] = {"application/json", "application/x-www-form-urlencoded",
                                    "text/plain",       "",
                                    "image/png",        "application/x-ndjson"};
static const char *const codings[] = {"", "gzip", "deflate", "br", "zstd", "gzip, zstd"};
static const char *const forms[] = {"s3cr\\u0065t-0f-12345", "s3cr%65t-0f-12345",
                                    "czNjcmV0LTBmLTEyMzQ1", "7333637265742d30662d3132333435",
                                    "s3cret-0f-12345"};

static void require(bool ok)
{
    if (!ok) {
        abort();
    }
}

static void plant(uint8_t where, struct bytes rest, struct buffer *out)
{
    const char *secret = forms[where % (sizeof(forms) / sizeof(forms[0]))];
    size_t at = rest.size * where / 255;
    require(buffer_append(out, bytes_of(rest.data, at)) == OK);
    require(buffer_append_string(out, where == 0 ? "" : secret) == OK);
    require(buffer_append(out, bytes_of(rest.data + at, rest.size - at)) == OK);
}

static void check(struct http_body_options o, struct bytes in, size_t step)
{
    struct http_body_test whole, pieces;
    http_body_test_init(&whole);
    http_body_test_init(&pieces);
    enum err a = http_body_test_run(&whole, o, in, 0, SIZE_MAX),
             b = http_body_test_run(&pieces, o, in, 0, step);
    /* zstd: see http_coding_fuzz.c. */
    bool is_zstd = memmem(o.content_encoding.data, o.content_encoding.size, "zstd", 4) != NULL;
    require(a == b || is_zstd);
    if (a == OK && b == OK) {
        require(bytes_equal(buffer_bytes(&whole.plain), buffer_bytes(&pieces.plain)));
        require(whole.was_masked == pieces.was_masked);
        require(whole.had_secrets == pieces.had_secrets);
        require(o.masker != NULL || !http_secrets_are_in(o.secrets, buffer_bytes(&whole.plain)));
    }
    http_body_test_finish(&whole);
    http_body_test_finish(&pieces);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    static struct masker *masker; /* compiled once for the process */
    static struct http_secrets *secrets;
    if (size < HEAD || size > BODY_MAX) {
        return 0;
    }
    if (masker == NULL) {
        struct bytes texts[] = {bytes_of_string("s3cret-0f-12345"), bytes_of_string("20240229")};
        masker = http_body_test_masker("[{\"detect\":[\"email\"],\"with\":{\"fixed\":\"[x]\"}}]");
        secrets = http_secrets_create(texts, 2);
        require(secrets != NULL);
    }
    const char *coding = codings[data[1] % (sizeof(codings) / sizeof(codings[0]))];
    struct buffer plain, coded;
    buffer_init(&plain, 2 * BODY_MAX);
    buffer_init(&coded, 4 * BODY_MAX);
    plant(data[3], bytes_of(data + HEAD, size - HEAD), &plain);
    struct http_body_options o = {
        .content_type = bytes_of_string(types[data[0] % (sizeof(types) / sizeof(types[0]))]),
        .content_encoding = bytes_of_string(coding),
        .masker = data[1] & 0x80 ? masker : NULL,
        .secrets = secrets,
        .only_plain = (data[1] & 0x40) != 0};
    bool is_coded = (data[1] & 0x20) != 0;
    if (!is_coded) {
        http_body_test_encode(coding, buffer_bytes(&plain), &coded);
    }
    check(o, buffer_bytes(is_coded ? &plain : &coded), (size_t)data[2] + 1);
    buffer_finish(&plain);
    buffer_finish(&coded);
    return 0;
}
