#include "cli/witness/logs.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

/* From the documentation of golang.org/x/mod/sumdb/note. */
#define NEUMANN "PeterNeumann+c74f20a3+ARpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW"
#define ENOCH "EnochRoot+af0cfe78+ATtqJ7zOtqQtYqOo0CpvDXNlMhV3HeJDpjrASKGLWdop"

static enum err add(struct witness_logs *logs, const char *line)
{
    struct err_text why = {.text = ""};
    enum err e = witness_logs_add(logs, bytes_of_string(line), &why);
    assert_int_equal(e == OK, why.text[0] == '\0');
    return e;
}

static const struct witness_log *find(const struct witness_logs *logs, const char *origin)
{
    return witness_logs_find(logs, bytes_of_string(origin));
}

static void origins_and_keys(void **state)
{
    (void)state;
    struct witness_logs logs = {.count = 0};
    assert_int_equal(add(&logs, NEUMANN), OK);
    assert_int_equal(add(&logs, ENOCH " a log of its own"), OK);
    assert_int_equal(add(&logs, ENOCH " PeterNeumann"), OK);
    assert_int_equal(add(&logs, NEUMANN), OK);
    assert_int_equal(logs.count, 2);
    assert_int_equal(find(&logs, "PeterNeumann")->key_count, 2);
    assert_string_equal(find(&logs, "PeterNeumann")->keys[0].name, "PeterNeumann");
    assert_string_equal(find(&logs, "PeterNeumann")->keys[1].name, "EnochRoot");
    assert_int_equal(find(&logs, "a log of its own")->key_count, 1);
    assert_null(find(&logs, "EnochRoot"));
    assert_null(find(&logs, ""));
    assert_null(find(&logs, "PeterNeumanns"));
    assert_null(find(&logs, "PeterNeuman"));
    witness_logs_finish(&logs);
}

static void what_is_no_log(void **state)
{
    (void)state;
    struct witness_logs logs = {.count = 0};
    char long_origin[TLOG_ORIGIN_MAX + sizeof(NEUMANN) + 8];
    static const char *const lines[] = {
        "",
        " ",
        "PeterNeumann",
        " " NEUMANN,
        NEUMANN " ",
        NEUMANN "\r",
        "PeterNeumann+c74f20a3+BBpc2QcUPDhMQegwxbzhKqiBfsVkmqq/LDE4izWy10TW",
    };
    for (size_t i = 0; i < sizeof(lines) / sizeof(lines[0]); i++) {
        assert_int_equal(add(&logs, lines[i]), ERR_INVALID);
    }
    (void)snprintf(long_origin, sizeof(long_origin), NEUMANN " %0*d", TLOG_ORIGIN_MAX, 1);
    assert_int_equal(add(&logs, long_origin), OK);
    (void)snprintf(long_origin, sizeof(long_origin), NEUMANN " %0*d", TLOG_ORIGIN_MAX + 1, 1);
    assert_int_equal(add(&logs, long_origin), ERR_INVALID);
    assert_int_equal(logs.count, 1);
    witness_logs_finish(&logs);
}

/* A cosignature key is no log's: what it signs is something else. */
static void a_witnesss_key(void **state)
{
    (void)state;
    struct witness_logs logs = {.count = 0};
    struct tlog_verifier verifier;
    struct buffer text;
    static const uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE] = {1};
    buffer_init(&text, TLOG_VERIFIER_TEXT_MAX);
    assert_int_equal(
        tlog_verifier_init(bytes_of_string("w"), TLOG_KEY_COSIGNATURE, public_key, &verifier), OK);
    assert_int_equal(tlog_verifier_format(&verifier, &text), OK);
    assert_int_equal(witness_logs_add(&logs, buffer_bytes(&text), NULL), ERR_INVALID);
    buffer_finish(&text);
}

static enum err read_text(struct witness_logs *logs, const char *content, struct err_text *why)
{
    char path[] = "/tmp/logs-test-XXXXXX";
    int fd = mkstemp(path);
    assert_true(fd >= 0);
    assert_int_equal(write(fd, content, strlen(content)), strlen(content));
    (void)close(fd);
    enum err e = witness_logs_read(logs, path, why);
    (void)unlink(path);
    return e;
}

static void files(void **state)
{
    (void)state;
    struct witness_logs logs = {.count = 0};
    struct err_text why = {.text = ""};
    assert_int_equal(witness_logs_read(&logs, "/nonexistent/logs", &why), OK);
    assert_int_equal(logs.count, 0);
    assert_int_equal(read_text(&logs, "# a comment\n\n" NEUMANN "\n" ENOCH, &why), OK);
    assert_int_equal(logs.count, 2);
    assert_int_equal(read_text(&logs, "\n" NEUMANN "\nnonsense\n", &why), ERR_INVALID);
    assert_non_null(strstr(why.text, ":3: not a verifier key"));
    witness_logs_finish(&logs);
}

static void as_many_as_there_may_be(void **state)
{
    (void)state;
    struct witness_logs logs = {.count = 0};
    char line[256];
    for (int i = 0; i < WITNESS_LOGS_MAX; i++) {
        (void)snprintf(line, sizeof(line), NEUMANN " log %d", i);
        assert_int_equal(add(&logs, line), OK);
    }
    assert_int_equal(add(&logs, NEUMANN " one more"), ERR_LIMIT);
    assert_int_equal(add(&logs, ENOCH " log 7"), OK);
    assert_int_equal(find(&logs, "log 4095")->key_count, 1);
    witness_logs_finish(&logs);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(origins_and_keys),        cmocka_unit_test(what_is_no_log),
        cmocka_unit_test(a_witnesss_key),          cmocka_unit_test(files),
        cmocka_unit_test(as_many_as_there_may_be),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
