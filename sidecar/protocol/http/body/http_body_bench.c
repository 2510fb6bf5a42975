/* How fast bodies are searched for secrets, and coded ones decoded and encoded again: megabytes of
 * plain text a second, on one core. */
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "sidecar/protocol/http/body/http_chain.h"
#include "sidecar/protocol/http/http_body.h"

enum { SIZE = 16 << 20, PIECE = 64 << 10, ROUNDS = 5, SMALL = 1000, SMALL_ROUNDS = 1000 };

/* Of this process: what else runs on the machine makes less of a difference. */
static double now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec / 1e9;
}

static void require(bool ok)
{
    if (!ok) {
        (void)fprintf(stderr, "http_body_bench: failed\n");
        exit(1);
    }
}

static void fill(struct buffer *b, const char *what)
{
    uint32_t random = 1;
    for (unsigned i = 0; buffer_size(b) < SIZE; i++) {
        random = random * 1664525 + 1013904223;
        enum err e =
            strcmp(what, "json") == 0
                ? buffer_append_format(b,
                                       "{\"id\":%u,\"name\":\"Person %u\",\"email\":\"p%u@example."
                                       "org\",\"url\":\"https:\\/\\/example.org\\/people\\/%u\"},",
                                       i, random % 1000, random % 7919, i)
            : strcmp(what, "digits") == 0  ? buffer_append_format(b, "%u,", random)
            : strcmp(what, "percent") == 0 ? buffer_append_format(b, "%%%02x", random >> 24)
                                           : buffer_append(b, bytes_of(&random, sizeof(random)));
        require(e == OK);
    }
}

static void run(const char *name, struct bytes in, const char *encoding,
                const struct http_secrets *secrets, size_t plain_size)
{
    struct buffer out;
    buffer_init(&out, SIZE_MAX);
    double best = 1e9;
    for (unsigned round = 0; round < ROUNDS; round++) {
        struct http_body_options o = {.content_encoding = bytes_of_string(encoding),
                                      .secrets = secrets};
        struct http_body *b = NULL;
        require(http_body_create(&o, &b, NULL) == OK);
        double start = now();
        for (size_t at = 0; at < in.size; at += PIECE) {
            size_t size = in.size - at < PIECE ? in.size - at : PIECE;
            require(http_body_feed(b, bytes_of(in.data + at, size), &out) == OK);
            buffer_clear(&out);
        }
        require(http_body_finish(b, &out) == OK);
        double took = now() - start;
        best = took < best ? took : best;
        http_body_destroy(b);
    }
    (void)printf("%-24s %8.0f MB/s\n", name, (double)plain_size / 1e6 / best);
    buffer_finish(&out);
}

/* Of a small body there is little but the beginning and the end. */
static void run_small(const char *name, struct bytes in, const char *encoding,
                      const struct http_secrets *secrets)
{
    struct buffer out;
    buffer_init(&out, SIZE_MAX);
    double start = now();
    for (unsigned round = 0; round < SMALL_ROUNDS; round++) {
        struct http_body_options o = {.content_encoding = bytes_of_string(encoding),
                                      .secrets = secrets};
        struct http_body *b = NULL;
        require(http_body_create(&o, &b, NULL) == OK);
        require(http_body_feed(b, in, &out) == OK);
        require(http_body_finish(b, &out) == OK);
        http_body_destroy(b);
        buffer_clear(&out);
    }
    (void)printf("%-24s %8.1f us for a body of %d bytes\n", name,
                 (now() - start) * 1e6 / SMALL_ROUNDS, (int)SMALL);
    buffer_finish(&out);
}

static void run_coded(struct bytes plain, const struct http_secrets *secrets)
{
    static const struct {
        const char *name;
        enum http_coding coding;
    } codings[] = {{"gzip", HTTP_CODING_GZIP},
                   {"deflate", HTTP_CODING_DEFLATE},
                   {"br", HTTP_CODING_BR},
                   {"zstd", HTTP_CODING_ZSTD}};
    for (size_t i = 0; i < sizeof(codings) / sizeof(codings[0]); i++) {
        struct http_encoder *e = NULL;
        struct buffer coded;
        buffer_init(&coded, SIZE_MAX);
        require(http_encoder_create(codings[i].coding, &e) == OK);
        require(http_encoder_feed(e, plain, HTTP_ENCODER_FINISH, &coded) == OK);
        run(codings[i].name, buffer_bytes(&coded), codings[i].name, secrets, plain.size);
        http_encoder_destroy(e);
        buffer_clear(&coded);
        require(http_encoder_create(codings[i].coding, &e) == OK);
        require(http_encoder_feed(e, bytes_of(plain.data, SMALL), HTTP_ENCODER_FINISH, &coded) ==
                OK);
        run_small(codings[i].name, buffer_bytes(&coded), codings[i].name, secrets);
        http_encoder_destroy(e);
        buffer_finish(&coded);
    }
}

static void run_create(const struct bytes *texts, size_t count)
{
    double start = now();
    for (unsigned round = 0; round < SMALL_ROUNDS; round++) {
        struct http_secrets *s = http_secrets_create(texts, count);
        require(s != NULL);
        http_secrets_destroy(s);
    }
    (void)printf("%-24s %8.1f us\n", "create secrets", (now() - start) * 1e6 / SMALL_ROUNDS);
}

int main(void)
{
    static const char *const kinds[] = {"json", "digits", "percent", "random"};
    struct bytes texts[] = {bytes_of_string("Bearer sk-live-51HqLyjWDarjtT1zdp7dcQ"),
                            bytes_of_string("sk-live-51HqLyjWDarjtT1zdp7dcQ"),
                            bytes_of_string("bot:correct horse battery")};
    struct http_secrets *secrets = http_secrets_create(texts, sizeof(texts) / sizeof(texts[0]));
    require(secrets != NULL);
    run_create(texts, sizeof(texts) / sizeof(texts[0]));
    for (size_t i = 0; i < sizeof(kinds) / sizeof(kinds[0]); i++) {
        struct buffer in;
        buffer_init(&in, SIZE_MAX);
        fill(&in, kinds[i]);
        run(kinds[i], buffer_bytes(&in), "", secrets, buffer_size(&in));
        if (i == 0) {
            run_small(kinds[i], bytes_of(in.data, SMALL), "", secrets);
            run_coded(buffer_bytes(&in), secrets);
        }
        buffer_finish(&in);
    }
    http_secrets_destroy(secrets);
    return 0;
}
