#include "cli/witness/cosigner.h"

#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing/alloc_fail.h"
#include "base/testing/scratch.h"
#include "base/tlog/checkpoint.h"
#include "base/tlog/witness_request.h"
#include "cli/witness/key.h"

#define ORIGIN "log.example/audit"
#define NAME "w.example/w1"

enum { THREADS = 4, TURNS = 100, NOW_S = 1750000000 };

struct fixture {
    char directory[SCRATCH_SIZE];
    struct crypto_ed25519 *log_key;
    struct tlog_signer log;
    struct buffer line; /* the log's verifier key, as a text */
    struct cosigner *cosigner;
    int64_t now_ns;
    struct err_text why;
};

static int64_t fixture_now(void *context)
{
    return ((const struct fixture *)context)->now_ns;
}

static enum err open_again(struct fixture *f, const char *name)
{
    const char *logs[] = {(const char *)buffer_bytes(&f->line).data};
    struct cosigner_options options = {
        .directory = f->directory,
        .name = name,
        .logs = logs,
        .log_count = 1,
        .clock = {.wall_ns = fixture_now, .monotonic_ns = fixture_now, .context = f}};
    cosigner_destroy(f->cosigner);
    f->cosigner = NULL;
    return cosigner_create(&options, &f->cosigner, &f->why);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->now_ns = (int64_t)NOW_S * 1000000000;
    scratch_create(f->directory);
    assert_int_equal(crypto_ed25519_generate(&f->log_key), OK);
    assert_int_equal(
        tlog_signer_init(bytes_of_string(ORIGIN), TLOG_KEY_ED25519, f->log_key, &f->log), OK);
    buffer_init(&f->line, TLOG_VERIFIER_TEXT_MAX + 1);
    assert_int_equal(tlog_verifier_format(&f->log.verifier, &f->line), OK);
    assert_int_equal(buffer_append(&f->line, bytes_of("", 1)), OK);
    assert_int_equal(open_again(f, NAME), OK);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    cosigner_destroy(f->cosigner);
    crypto_ed25519_destroy(f->log_key);
    buffer_finish(&f->line);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

/* A log whose trees have the sizes 1, 2, 4, ...: the proof from one to the next is one hash. All
 * leaves are the same but the last half, whose head is made of `branch`. */
struct tree {
    uint64_t size;
    struct tlog_hash root, half;
};

static struct tree tree_next(const struct tree *t, uint32_t branch)
{
    struct tree next = {.size = t->size == 0 ? 1 : 2 * t->size};
    tlog_hash_leaf(bytes_of(&branch, sizeof(branch)), &next.half);
    if (t->size == 0) {
        next.root = next.half;
    } else {
        tlog_hash_node(&t->root, &next.half, &next.root);
    }
    return next;
}

/* The body of a request from `t` to `next`. */
static void request_make(const struct fixture *f, const struct tree *t, const struct tree *next,
                         struct buffer *out)
{
    struct tlog_checkpoint checkpoint = {
        .origin = bytes_of_string(ORIGIN), .size = next->size, .root = next->root};
    struct tlog_witness_request request = {.old_size = t->size};
    struct buffer text, note;
    buffer_init(&text, 4096);
    buffer_init(&note, 4096);
    assert_int_equal(tlog_checkpoint_format(&checkpoint, &text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&text), &f->log, 1, 0, &note), OK);
    if (t->size > 0 && t->size < next->size) {
        request.proof.hashes[request.proof.count++] = next->half;
    }
    request.note = buffer_bytes(&note);
    assert_int_equal(tlog_witness_request_format(&request, out), OK);
    buffer_finish(&text);
    buffer_finish(&note);
}

static unsigned ask(struct fixture *f, const struct tree *t, const struct tree *next)
{
    struct buffer body;
    struct cosigner_answer answer;
    buffer_init(&body, TLOG_WITNESS_REQUEST_MAX);
    request_make(f, t, next, &body);
    cosigner_answer(f->cosigner, buffer_bytes(&body), &answer);
    struct bytes said = buffer_bytes(&answer.body);
    bool has_signature =
        said.data != NULL && said.size > 3 && memcmp(said.data, "\xe2\x80\x94", 3) == 0;
    assert_int_equal(answer.status == 200, has_signature);
    buffer_finish(&answer.body);
    buffer_finish(&body);
    return answer.status;
}

static const struct tree nothing = {.size = 0};

static void it_goes_on_after_a_restart(void **state)
{
    struct fixture *f = *state;
    struct tree one = tree_next(&nothing, 1), two = tree_next(&one, 2), other = tree_next(&one, 3);
    assert_int_equal(ask(f, &nothing, &one), 200);
    assert_int_equal(ask(f, &one, &two), 200);
    assert_int_equal(open_again(f, NULL), OK);
    assert_int_equal(ask(f, &one, &two), 409);
    assert_int_equal(ask(f, &one, &other), 409);
    assert_int_equal(ask(f, &two, &two), 200);
    struct tree three = tree_next(&two, 4), fork = tree_next(&other, 4);
    assert_int_equal(ask(f, &two, &fork), 422);
    assert_int_equal(ask(f, &two, &three), 200);
    assert_int_equal(open_again(f, "another name"), ERR_INVALID);
    assert_int_equal(open_again(f, "another"), ERR_INVALID);
}

/* A clock that stands before 1970 gives no time to sign with. */
static void a_clock_that_is_not_set(void **state)
{
    struct fixture *f = *state;
    struct tree one = tree_next(&nothing, 1), other = tree_next(&nothing, 2);
    f->now_ns = 0;
    assert_int_equal(ask(f, &nothing, &one), 500);
    f->now_ns = (int64_t)NOW_S * 1000000000;
    assert_int_equal(ask(f, &nothing, &other), 200);
}

/* ---- memory is short --------------------------------------------------------------------------
 */

struct attempt {
    struct fixture *f;
    struct buffer body;
    bool is_signed;
};

static void attempt_answer(void *context)
{
    struct attempt *a = context;
    struct cosigner_answer answer;
    cosigner_answer(a->f->cosigner, buffer_bytes(&a->body), &answer);
    assert_true(answer.status == 200 || answer.status >= 400);
    a->is_signed = answer.status == 200;
    buffer_finish(&answer.body);
}

/* Each allocation fails once: no signature without what it stands for on the disk. */
static void memory_is_short(void **state)
{
    struct fixture *f = *state;
    struct tree last = nothing;
    int refused = 0;
    for (size_t n = 1; n < 40; n++) {
        struct attempt a = {.f = f};
        struct tree next = tree_next(&last, (uint32_t)n);
        buffer_init(&a.body, TLOG_WITNESS_REQUEST_MAX);
        request_make(f, &last, &next, &a.body);
        alloc_fail_start(n);
        attempt_answer(&a);
        (void)alloc_fail_stop();
        buffer_finish(&a.body);
        assert_int_equal(open_again(f, NULL), OK);
        if (a.is_signed) {
            assert_int_equal(ask(f, &next, &next), 200);
            last = next;
        } else {
            /* It was written, or not; another tree is signed only where it was not. */
            struct tree other = tree_next(&last, (uint32_t)n + 1000);
            bool was_written = ask(f, &next, &next) == 200;
            assert_int_equal(ask(f, &last, &other), was_written ? 409 : 200);
            last = was_written ? next : other;
            refused++;
        }
    }
    assert_true(refused >= 5);
}

/* ---- several at a time ------------------------------------------------------------------------
 */

struct contender {
    struct fixture *f;
    pthread_barrier_t *start;
    struct tree last; /* that any of them got signed */
    struct tree next;
    uint32_t number;
    unsigned status;
};

static void *contend(void *context)
{
    struct contender *c = context;
    struct cosigner_answer answer;
    struct buffer body;
    buffer_init(&body, TLOG_WITNESS_REQUEST_MAX);
    c->next = tree_next(&c->last, c->number);
    request_make(c->f, &c->last, &c->next, &body);
    (void)pthread_barrier_wait(c->start);
    cosigner_answer(c->f->cosigner, buffer_bytes(&body), &answer);
    c->status = answer.status;
    buffer_finish(&answer.body);
    buffer_finish(&body);
    return NULL;
}

static void of_several_one_wins(void **state)
{
    struct fixture *f = *state;
    struct tree last = nothing;
    for (int turn = 0; turn < TURNS; turn++) {
        pthread_t threads[THREADS];
        struct contender contenders[THREADS];
        pthread_barrier_t start;
        int winners = 0;
        struct tree won = last;
        (void)pthread_barrier_init(&start, NULL, THREADS);
        for (uint32_t i = 0; i < THREADS; i++) {
            contenders[i] = (struct contender){
                .f = f, .start = &start, .number = (uint32_t)turn * 10 + i, .last = last};
            assert_int_equal(pthread_create(&threads[i], NULL, contend, &contenders[i]), 0);
        }
        for (size_t i = 0; i < THREADS; i++) {
            (void)pthread_join(threads[i], NULL);
            winners += contenders[i].status == 200;
            won = contenders[i].status == 200 ? contenders[i].next : won;
            assert_true(contenders[i].status == 200 || contenders[i].status == 409);
        }
        (void)pthread_barrier_destroy(&start);
        assert_int_equal(winners, 1);
        /* 2^50 leaves are enough. */
        if (turn % 50 == 49) {
            (void)tear_down(state);
            (void)set_up(state);
            f = *state;
            won = nothing;
        }
        last = won;
    }
}

/* ---- the key ----------------------------------------------------------------------------------
 */

static void a_first_start_that_was_ended_in_its_middle(void **state)
{
    struct fixture *f = *state;
    struct tlog_verifier before = *cosigner_verifier(f->cosigner), shown;
    char path[SCRATCH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/witness.pub", f->directory);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(witness_key_show(f->directory, &shown, &f->why), ERR_NOT_FOUND);
    assert_int_equal(open_again(f, NULL), ERR_INVALID);
    assert_int_equal(open_again(f, NAME), OK);
    assert_int_equal(cosigner_verifier(f->cosigner)->id, before.id);
    assert_int_equal(witness_key_show(f->directory, &shown, &f->why), OK);
    assert_int_equal(shown.id, before.id);
}

static void keys_that_are_not_its_own(void **state)
{
    struct fixture *f = *state;
    char path[SCRATCH_SIZE + 16];
    (void)snprintf(path, sizeof(path), "%s/key.pem", f->directory);
    assert_int_equal(chmod(path, 0640), 0);
    assert_int_equal(open_again(f, NULL), ERR_DENIED);
    assert_int_equal(unlink(path), 0);
    assert_int_equal(open_again(f, NULL), ERR_NOT_FOUND);
    assert_int_equal(crypto_ed25519_store(f->log_key, path, &f->why), OK);
    assert_int_equal(open_again(f, NULL), ERR_DENIED);
    assert_non_null(strstr(f->why.text, "is not the key of witness.pub"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(it_goes_on_after_a_restart, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_clock_that_is_not_set, set_up, tear_down),
        cmocka_unit_test_setup_teardown(memory_is_short, set_up, tear_down),
        cmocka_unit_test_setup_teardown(of_several_one_wins, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_first_start_that_was_ended_in_its_middle, set_up,
                                        tear_down),
        cmocka_unit_test_setup_teardown(keys_that_are_not_its_own, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
