#include "controlplane/witness/witness_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

static enum err read_hash(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    const struct branch *b = context;
    struct tlog_hash left, right;
    if (level == 0) {
        char record[64];
        int size = snprintf(record, sizeof(record), "%llu of %u", (unsigned long long)index,
                            index >= b->fork_at ? b->number : 0);
        tlog_hash_leaf(bytes_of(record, (size_t)size), out);
        return OK;
    }
    enum err e = read_hash(context, level - 1, 2 * index, &left);
    if (e == OK) {
        e = read_hash(context, level - 1, 2 * index + 1, &right);
    }
    tlog_hash_node(&left, &right, out);
    return e;
}

static struct tlog_reader reader_of(const struct branch *b)
{
    return (struct tlog_reader){.read = read_hash, .context = (void *)(uintptr_t)b};
}

static int64_t fixture_now(void *context)
{
    return ((const struct fixture *)context)->now_ns;
}

struct clock witness_fixture_clock(struct fixture *f)
{
    return (struct clock){.wall_ns = fixture_now, .monotonic_ns = fixture_now, .context = f};
}

static void signer_make(const char *name, enum tlog_key_type type, struct crypto_ed25519 **key,
                        struct tlog_signer *out)
{
    assert_int_equal(crypto_ed25519_generate(key), OK);
    assert_int_equal(tlog_signer_init(bytes_of_string(name), type, *key, out), OK);
}

int witness_fixture_set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->now_ns = (int64_t)NOW_S * 1000000000;
    signer_make(ORIGIN, TLOG_KEY_ED25519, &f->log_key, &f->log);
    signer_make(NAME, TLOG_KEY_COSIGNATURE, &f->witness_key, &f->self);
    signer_make(NAME, TLOG_KEY_COSIGNATURE, &f->other_key, &f->other);
    f->trusted = f->self.verifier;
    buffer_init(&f->request, TLOG_WITNESS_REQUEST_MAX);
    buffer_init(&f->note, 4096);
    buffer_init(&f->line, 4096);
    buffer_init(&f->body, 1 << 20);
    *state = f;
    return 0;
}

int witness_fixture_tear_down(void **state)
{
    struct fixture *f = *state;
    witness_destroy(f->client);
    witness_http_stop(f->http);
    cosigner_destroy(f->cosigner);
    if (f->fake != NULL) {
        MHD_stop_daemon(f->fake);
    }
    if (f->directory[0] != '\0') {
        scratch_remove(f->directory);
    }
    crypto_ed25519_destroy(f->log_key);
    crypto_ed25519_destroy(f->witness_key);
    crypto_ed25519_destroy(f->other_key);
    buffer_finish(&f->request);
    buffer_finish(&f->note);
    buffer_finish(&f->line);
    buffer_finish(&f->body);
    free(f);
    return 0;
}

enum err witness_fixture_client(struct fixture *f, const char *url, int64_t timeout_ms)
{
    struct witness_options options = {.url = url,
                                      .verifier = &f->trusted,
                                      .timeout_ns = timeout_ms * 1000000,
                                      .clock = witness_fixture_clock(f)};
    f->why.text[0] = '\0';
    return witness_create(&options, &f->client, &f->why);
}

void witness_fixture_client_to_port(struct fixture *f, const char *path)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", f->port, path);
    assert_int_equal(witness_fixture_client(f, url, TIMEOUT_MS), OK);
}

void witness_fixture_note(struct fixture *f, const struct branch *b, uint64_t size)
{
    struct tlog_checkpoint checkpoint = {.origin = bytes_of_string(ORIGIN), .size = size};
    struct tlog_reader reader = reader_of(b);
    struct buffer text;
    buffer_init(&text, 4096);
    buffer_clear(&f->note);
    assert_int_equal(tlog_tree_root(&reader, size, &checkpoint.root), OK);
    assert_int_equal(tlog_checkpoint_format(&checkpoint, &text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&text), &f->log, 1, 0, &f->note), OK);
    buffer_finish(&text);
}

enum err witness_fixture_cosign(struct fixture *f, const struct branch *b, uint64_t size)
{
    struct tlog_reader reader = reader_of(b);
    struct tlog_trust trust = {.origin = ORIGIN,
                               .logs = &f->log.verifier,
                               .log_count = 1,
                               .witnesses = &f->trusted,
                               .witness_count = 1,
                               .quorum = 1};
    struct tlog_checkpoint checkpoint;
    witness_fixture_note(f, b, size);
    buffer_clear(&f->line);
    f->seen = UINT64_MAX;
    f->why.text[0] = '\0';
    enum err e = witness_cosign(f->client, buffer_bytes(&f->note), size, &reader, &f->line,
                                &f->seen, &f->why);
    assert_int_equal(e == OK, f->why.text[0] == '\0');
    assert_int_equal(e == OK, buffer_size(&f->line) > 0);
    assert_int_equal(e == ERR_EXISTS || e == ERR_INVALID, f->seen != UINT64_MAX);
    if (e == OK) {
        assert_int_equal(buffer_append(&f->note, buffer_bytes(&f->line)), OK);
        assert_int_equal(
            tlog_checkpoint_open(buffer_bytes(&f->note), &trust, &checkpoint, NULL, &f->why), OK);
        assert_int_equal(checkpoint.size, size);
    }
    return e;
}
