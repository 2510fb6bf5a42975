/* What an auditor's command believes, and what is an alarm. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "cli/log/believe.h"

enum { LEAVES = 600 };

/* A log of its own, which proves by its leaves; `other` has others from leaf 5 on. */
struct scene {
    struct kept_log kept;
    struct crypto_ed25519 *keys[3];
    char texts[3][TLOG_VERIFIER_TEXT_MAX + 1];
    int asked;
    bool refuses, other;
};

static void leaf_at(const struct scene *s, uint64_t n, struct tlog_hash *out)
{
    char text[32];
    (void)snprintf(text, sizeof(text), "%s%llu", s->other && n >= 5 ? "other " : "",
                   (unsigned long long)n);
    tlog_hash_leaf(bytes_of_string(text), out);
}

static enum err subtree(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    struct tlog_edge edge = {.size = 0};
    for (uint64_t i = index << level; i < (index + 1) << level; i++) {
        struct tlog_hash leaf;
        leaf_at(context, i, &leaf);
        assert_int_equal(tlog_edge_append(&edge, &leaf), OK);
    }
    tlog_edge_root(&edge, out);
    return OK;
}

static enum err prove(void *context, uint64_t from, uint64_t to, struct tlog_proof *out)
{
    struct scene *s = context;
    const struct tlog_reader reader = {.read = subtree, .context = s};
    s->asked++;
    return s->refuses ? ERR_UNAVAILABLE : tlog_tree_prove_consistency(&reader, to, from, out);
}

static struct tlog_signer signer_of(struct scene *s, int key, const char *origin)
{
    struct tlog_signer signer;
    assert_int_equal(
        tlog_signer_init(bytes_of_string(origin), TLOG_KEY_ED25519, s->keys[key], &signer), OK);
    return signer;
}

/* A checkpoint of `size` records, signed by the keys that are given (-1 ends them). */
static char *note(struct scene *s, uint64_t size, const char *origin, int first, int second)
{
    struct tlog_signer signers[2] = {signer_of(s, first, origin)};
    const struct tlog_reader reader = {.read = subtree, .context = s};
    struct tlog_checkpoint c = {.origin = bytes_of_string(origin), .size = size};
    struct buffer text, out;
    buffer_init(&text, 4096);
    buffer_init(&out, 4096);
    if (second >= 0) {
        signers[1] = signer_of(s, second, origin);
    }
    assert_int_equal(tlog_tree_root(&reader, size, &c.root), OK);
    assert_int_equal(tlog_checkpoint_format(&c, &text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&text), signers, second >= 0 ? 2 : 1, 0, &out),
                     OK);
    char *result = bytes_to_string(buffer_bytes(&out));
    assert_non_null(result);
    buffer_finish(&text);
    buffer_finish(&out);
    return result;
}

static enum err believe(struct scene *s, char *text, int keys, struct err_text *why)
{
    Chaperone__V1__Checkpoint answer = CHAPERONE__V1__CHECKPOINT__INIT;
    char *names[] = {s->texts[0], s->texts[1], s->texts[2]};
    struct believe_result result;
    answer.note = text;
    answer.log_keys = names;
    answer.n_log_keys = (size_t)keys;
    enum err e = believe_checkpoint(&s->kept, &answer, prove, s, &result, why);
    free(text);
    return e;
}

static void assert_alarm(struct scene *s, char *text, const char *words)
{
    struct err_text why = {0};
    struct buffer before;
    buffer_init(&before, TLOG_NOTE_SIZE_MAX);
    assert_int_equal(buffer_append(&before, buffer_bytes(&s->kept.note)), OK);
    assert_int_equal(believe(s, text, 3, &why), ERR_DENIED);
    if (strstr(why.text, words) == NULL) {
        fail_msg("%s", why.text);
    }
    assert_true(bytes_equal(buffer_bytes(&before), buffer_bytes(&s->kept.note)));
    buffer_finish(&before);
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    kept_log_init(&s->kept);
    for (int i = 0; i < 3; i++) {
        struct buffer text;
        buffer_init(&text, TLOG_VERIFIER_TEXT_MAX);
        assert_int_equal(crypto_ed25519_generate(&s->keys[i]), OK);
        struct tlog_signer signer = signer_of(s, i, "log");
        assert_int_equal(tlog_verifier_format(&signer.verifier, &text), OK);
        memcpy(s->texts[i], buffer_bytes(&text).data, buffer_size(&text));
        buffer_finish(&text);
    }
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    kept_log_finish(&s->kept);
    for (int i = 0; i < 3; i++) {
        crypto_ed25519_destroy(s->keys[i]);
    }
    free(s);
    return 0;
}

static void a_log_that_grows_is_believed(void **state)
{
    struct scene *s = *state;
    assert_int_equal(believe(s, note(s, 10, "log", 0, -1), 1, NULL), OK);
    assert_int_equal(s->asked, 0);
    assert_int_equal(believe(s, note(s, 10, "log", 0, -1), 1, NULL), OK);
    assert_int_equal(believe(s, note(s, LEAVES, "log", 0, -1), 1, NULL), OK);
    assert_int_equal(s->asked, 1);
}

static void what_contradicts_is_an_alarm(void **state)
{
    struct scene *s = *state;
    assert_int_equal(believe(s, note(s, 10, "log", 0, -1), 1, NULL), OK);
    assert_alarm(s, note(s, 9, "log", 0, -1), "fewer records");
    assert_alarm(s, note(s, 20, "log", 1, -1), "none of the known keys");
    assert_alarm(s, note(s, 20, "log/2", 0, -1), "none of the known keys");
    s->other = true;
    assert_alarm(s, note(s, 10, "log", 0, -1), "another tree of the same size");
    assert_alarm(s, note(s, 20, "log", 0, -1), "it is no continuation");
    s->other = false;
    assert_int_equal(believe(s, note(s, 20, "log", 0, -1), 1, NULL), OK);
}

/* Without a proof nothing is kept: it is no alarm yet, and no yes. */
static void no_proof_is_no_answer(void **state)
{
    struct scene *s = *state;
    assert_int_equal(believe(s, note(s, 10, "log", 0, -1), 1, NULL), OK);
    s->refuses = true;
    assert_int_equal(believe(s, note(s, 20, "log", 0, -1), 1, NULL), ERR_UNAVAILABLE);
    s->refuses = false;
    assert_alarm(s, note(s, 9, "log", 0, -1), "fewer records");
}

/* A key is taken over when a known one signed the same; one that is only named is not. */
static void keys_are_handed_on(void **state)
{
    struct scene *s = *state;
    assert_int_equal(believe(s, note(s, 10, "log", 0, -1), 1, NULL), OK);
    assert_int_equal(believe(s, note(s, 11, "log", 0, -1), 3, NULL), OK);
    assert_alarm(s, note(s, 12, "log", 1, -1), "none of the known keys");
    assert_int_equal(believe(s, note(s, 12, "log", 1, 0), 3, NULL), OK);
    assert_int_equal(believe(s, note(s, 13, "log", 1, -1), 3, NULL), OK);
    assert_alarm(s, note(s, 14, "log", 2, -1), "none of the known keys");
}

static void what_is_kept_is_read_again(void **state)
{
    struct scene *s = *state;
    struct kept_log again;
    char path[] = "/tmp/kept_log.XXXXXX", keys[64];
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(close(fd), 0);
    assert_int_equal(unlink(path), 0);
    kept_log_init(&again);
    assert_int_equal(kept_log_read(path, &again, NULL), OK); /* nothing yet */
    assert_int_equal(again.key_count, 0);
    assert_int_equal(believe(s, note(s, 10, "log", 0, -1), 1, NULL), OK);
    assert_int_equal(kept_log_write(path, &s->kept, NULL), OK);
    assert_int_equal(kept_log_read(path, &again, NULL), OK);
    assert_int_equal(again.key_count, 1);
    assert_memory_equal(&again.keys[0], &s->kept.keys[0], sizeof(again.keys[0]));
    assert_true(bytes_equal(buffer_bytes(&again.note), buffer_bytes(&s->kept.note)));
    kept_log_finish(&again);
    (void)snprintf(keys, sizeof(keys), "%s.keys", path);
    assert_int_equal(file_replace(keys, 0644, bytes_of_string("no key\n"), NULL), OK);
    kept_log_init(&again);
    assert_int_equal(kept_log_read(path, &again, NULL), ERR_INVALID);
    kept_log_finish(&again);
    (void)unlink(path);
    (void)unlink(keys);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_log_that_grows_is_believed), CASE(what_contradicts_is_an_alarm),
        CASE(no_proof_is_no_answer),        CASE(keys_are_handed_on),
        CASE(what_is_kept_is_read_again),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
