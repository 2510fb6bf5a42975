#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "base/testing/scratch.h"
#include "controlplane/files/files.h"
#include "controlplane/tlog/log_keys.h"

static const int64_t hour_ns = INT64_C(3600) * 1000000000;

struct scene {
    char directory[SCRATCH_SIZE];
    int64_t now_ns;
    struct log_keys_options options;
};

static int64_t now(void *context)
{
    return ((struct scene *)context)->now_ns;
}

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    scratch_create(s->directory);
    s->now_ns = 1000 * hour_ns;
    s->options = (struct log_keys_options){
        .data = s->directory,
        .fallback = "log.example/audit",
        .overlap_ns = hour_ns,
        .clock = {.wall_ns = now, .monotonic_ns = now, .context = s},
    };
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    scratch_remove(s->directory);
    free(s);
    return 0;
}

static struct log_keys *open_keys(struct scene *s)
{
    struct log_keys *k = NULL;
    struct err_text why = {0};
    if (log_keys_open(&s->options, &k, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return k;
}

static void path_of(struct scene *s, const char *name, char out[128])
{
    (void)snprintf(out, 128, "%s/%s", s->directory, name);
}

static void assert_refused(struct scene *s, enum err expected, const char *words)
{
    struct log_keys *k = NULL;
    struct err_text why = {0};
    assert_int_equal(log_keys_open(&s->options, &k, &why), expected);
    assert_null(k);
    if (strstr(why.text, words) == NULL) {
        fail_msg("%s", why.text);
    }
}

static void what_is_made_is_found_again(void **state)
{
    struct scene *s = *state;
    struct tlog_signer signers[LOG_SIGNERS_MAX];
    struct tlog_verifier first;
    size_t count = 0;
    struct log_keys *k = open_keys(s);
    assert_string_equal(log_keys_origin(k), "log.example/audit");
    first = log_keys_known(k, &count)[0];
    assert_int_equal(count, 1);
    assert_int_equal(log_keys_signers(k, s->now_ns, signers), 1);
    assert_int_equal(signers[0].verifier.id, first.id);
    log_keys_close(k);
    s->options.fallback = "another.example/audit"; /* a host was renamed */
    k = open_keys(s);
    assert_string_equal(log_keys_origin(k), "log.example/audit");
    assert_memory_equal(&log_keys_known(k, &count)[0], &first, sizeof(first));
    assert_false(log_keys_is_former(k, bytes_of_string("log.example/audit")));
    log_keys_close(k);
}

static void a_rotation_has_an_overlap(void **state)
{
    struct scene *s = *state;
    struct tlog_signer signers[LOG_SIGNERS_MAX];
    struct buffer text;
    size_t count = 0;
    bool changed = false;
    buffer_init(&text, 1024);
    struct log_keys *k = open_keys(s);
    uint32_t old = log_keys_known(k, &count)[0].id;
    assert_int_equal(log_keys_refresh(k, &changed, NULL), OK);
    assert_false(changed);
    assert_int_equal(log_keys_rotate(&s->options, &text, NULL), OK);
    assert_int_equal(log_keys_refresh(k, &changed, NULL), OK);
    assert_true(changed);
    uint32_t new = log_keys_known(k, &count)[0].id;
    assert_int_equal(count, 2);
    assert_int_not_equal(new, old);
    assert_int_equal(log_keys_known(k, &count)[1].id, old);
    assert_int_equal(log_keys_signers(k, s->now_ns, signers), 2);
    assert_int_equal(signers[0].verifier.id, new);
    assert_int_equal(signers[1].verifier.id, old);
    assert_int_equal(log_keys_rotate(&s->options, &text, NULL), ERR_EXISTS);
    s->now_ns += hour_ns;
    assert_int_equal(log_keys_signers(k, s->now_ns, signers), 1);
    assert_int_equal(log_keys_rotate(&s->options, &text, NULL), OK);
    assert_int_equal(log_keys_refresh(k, &changed, NULL), OK);
    (void)log_keys_known(k, &count);
    assert_int_equal(count, 3);
    log_keys_close(k);
    buffer_finish(&text);
}

static void an_ended_log_is_known_as_such(void **state)
{
    struct scene *s = *state;
    struct buffer text;
    size_t count = 0;
    buffer_init(&text, 1024);
    log_keys_close(open_keys(s));
    assert_int_equal(log_keys_restart(&s->options, &text, NULL), OK);
    buffer_clear(&text);
    assert_int_equal(log_keys_restart(&s->options, &text, NULL), OK);
    assert_true(bytes_equal_string(buffer_bytes(&text), "log.example/audit/3"));
    struct log_keys *k = open_keys(s);
    assert_string_equal(log_keys_origin(k), "log.example/audit/3");
    assert_true(log_keys_is_former(k, bytes_of_string("log.example/audit")));
    assert_true(log_keys_is_former(k, bytes_of_string("log.example/audit/2")));
    assert_false(log_keys_is_former(k, bytes_of_string("log.example/audit/3")));
    assert_false(log_keys_is_former(k, bytes_of_string("log.example/audit/4")));
    assert_string_equal(log_keys_known(k, &count)[0].name, "log.example/audit/3");
    assert_int_equal(count, 1); /* a key's text is of one log */
    log_keys_close(k);
    buffer_finish(&text);
}

static void what_is_wrong_is_refused(void **state)
{
    static const char *const documents[] = {
        "",
        "origin: [a]\n",
        "keys: []\n",
        "origin: 'a b'\n",
        "origin: a\nnumber: 0\n",
        "origin: a\nnumber: 1000\n",
        "origin: a\nkeys: [{key: 'a+00000000+AAAA'}]\n",
        "origin: a\nkey: x\n",
    };
    struct scene *s = *state;
    char key[128], document[128];
    path_of(s, "log.key", key);
    path_of(s, "log.yaml", document);
    log_keys_close(open_keys(s));
    assert_int_equal(chmod(key, 0644), 0);
    assert_refused(s, ERR_DENIED, "log.key");
    assert_int_equal(chmod(key, 0600), 0);
    for (size_t i = 0; i < sizeof(documents) / sizeof(documents[0]); i++) {
        struct log_keys *k = NULL;
        assert_int_equal(file_replace(document, 0644, bytes_of_string(documents[i]), NULL), OK);
        if (log_keys_open(&s->options, &k, NULL) == OK) {
            fail_msg("accepted: %s", documents[i]);
        }
    }
    assert_int_equal(unlink(document), 0);
    s->options.origin = "it's";
    assert_refused(s, ERR_INVALID, "cannot be the origin");
    s->options.origin = "with space";
    assert_refused(s, ERR_INVALID, "cannot be the origin");
}

static void one_process_keeps_a_log(void **state)
{
    struct scene *s = *state;
    int first = -1, second = -1;
    assert_int_equal(log_keys_lock(s->directory, &first, NULL), OK);
    assert_int_equal(log_keys_lock(s->directory, &second, NULL), ERR_EXISTS);
    assert_int_equal(close(first), 0);
    assert_int_equal(log_keys_lock(s->directory, &second, NULL), OK);
    assert_int_equal(close(second), 0);
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(what_is_made_is_found_again),   CASE(a_rotation_has_an_overlap),
        CASE(an_ended_log_is_known_as_such), CASE(what_is_wrong_is_refused),
        CASE(one_process_keeps_a_log),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
