#include "base/hardening/security.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/hardening/child.h"
#include "base/hardening/hardening.h"

static enum err read_text(const char *text, struct security *out, struct conf **out_conf,
                          struct err_text *why)
{
    enum err e = conf_load_text("test.yaml", bytes_of_string(text), out_conf, why);
    return e == OK ? security_read(conf_root(*out_conf), out, why) : e;
}

static void test_what_is_written(void **state)
{
    static const struct {
        const char *text, *user;
        enum confine_mode mode;
    } cases[] = {
        {"state: x\n", NULL, CONFINE_ENFORCE},
        {"security: {}\n", NULL, CONFINE_ENFORCE},
        {"security: {user: chaperone}\n", "chaperone", CONFINE_ENFORCE},
        {"security: {seccomp: log}\n", NULL, CONFINE_LOG},
        {"security:\n  user: nobody\n  seccomp: \"off\"\n", "nobody", CONFINE_OFF},
        {"security: {seccomp: off}\n", NULL, CONFINE_OFF},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct security security = {0};
        struct conf *conf = NULL;
        assert_int_equal(read_text(cases[i].text, &security, &conf, NULL), OK);
        assert_int_equal(security.seccomp, cases[i].mode);
        assert_int_equal(security.user == NULL, cases[i].user == NULL);
        if (security.user != NULL) {
            assert_string_equal(security.user, cases[i].user);
        }
        conf_destroy(conf);
    }
}

static void test_what_is_wrong_changes_nothing(void **state)
{
    static const struct {
        const char *text, *said;
    } cases[] = {
        {"security: {seccomp: maybe}\n", "seccomp"},
        {"security: {seccmp: off}\n", "did you mean"},
        {"security: {user: }\n", "user"},
        {"security: strict\n", "security"},
    };
    (void)state;
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        struct security security = {.user = "as before", .seccomp = CONFINE_LOG};
        struct conf *conf = NULL;
        struct err_text why = {0};
        assert_int_equal(read_text(cases[i].text, &security, &conf, &why), ERR_INVALID);
        assert_non_null(strstr(why.text, cases[i].said));
        assert_string_equal(security.user, "as before");
        assert_int_equal(security.seccomp, CONFINE_LOG);
        conf_destroy(conf);
    }
}

static bool said(int fd, const char *text)
{
    char line[2048] = "";
    ssize_t n = pread(fd, line, sizeof(line) - 1, 0);
    return n > 0 && strstr(line, text) != NULL;
}

static int enter(void)
{
    const struct security security = {.user = geteuid() == 0 ? "nobody" : NULL};
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    const struct log log = {.fd = fd, .clock = clock_system()};
    if (fd < 0 || security_enter(&security, CONFINE_CONTROLPLANE, NULL) != OK) {
        return 1;
    }
    security_log(&security, &log);
    bool sanitized = hardening_is_sanitized();
    if (!said(fd, sanitized ? "\"off (sanitizer)\"" : "\"seccomp\":\"enforce\"") ||
        !said(fd, "\"capabilities\":\"none\"") || !said(fd, "\"no_new_privs\":1") ||
        !said(fd, sanitized ? "\"dumpable\":" : "\"dumpable\":0") || said(fd, "runs_as_root")) {
        return 2;
    }
    return 0;
}

static void test_the_log_says_what_is_in_force(void **state)
{
    (void)state;
    assert_int_equal(child_run(enter), 0);
}

static int enter_with_nothing(void)
{
    const struct security security = {.seccomp = CONFINE_OFF};
    int fd = open("/tmp", O_TMPFILE | O_RDWR | O_CLOEXEC, 0600);
    const struct log log = {.fd = fd, .clock = clock_system()};
    if (fd < 0 || security_enter(&security, CONFINE_CONTROLPLANE, NULL) != OK) {
        return 1;
    }
    security_log(&security, &log);
    return said(fd, "system_calls_not_confined") && said(fd, "runs_as_root") == (geteuid() == 0)
               ? 0
               : 2;
}

static void test_what_is_weaker_is_a_warning(void **state)
{
    (void)state;
    assert_int_equal(child_run(enter_with_nothing), 0);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_what_is_written),
        cmocka_unit_test(test_what_is_wrong_changes_nothing),
        cmocka_unit_test(test_the_log_says_what_is_in_force),
        cmocka_unit_test(test_what_is_weaker_is_a_warning),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
