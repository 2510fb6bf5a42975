#include "cli/dispatch.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#define ARGV(...) ((char *[]){__VA_ARGS__, NULL})

struct said {
    char *out, *errors;
    size_t out_size, errors_size;
    int code;
};

static void run(struct said *said, char **argv)
{
    struct invocation i = {.clock = clock_system()};
    *said = (struct said){0};
    i.out.out = open_memstream(&said->out, &said->out_size);
    i.errors.out = open_memstream(&said->errors, &said->errors_size);
    assert_non_null(i.out.out);
    assert_non_null(i.errors.out);
    said->code = dispatch_run(&i, argv);
    assert_int_equal(fclose(i.out.out), 0);
    assert_int_equal(fclose(i.errors.out), 0);
}

/* Misuse says something about it on standard error, and nothing on standard output. */
static void expect_misuse(char **argv, const char *about)
{
    struct said said;
    run(&said, argv);
    assert_int_equal(said.code, 2);
    assert_string_equal(said.out, "");
    assert_non_null(strstr(said.errors, about));
    free(said.out);
    free(said.errors);
}

static void expect_output(char **argv, const char *text)
{
    struct said said;
    run(&said, argv);
    assert_int_equal(said.code, 0);
    assert_string_equal(said.errors, "");
    assert_non_null(strstr(said.out, text));
    free(said.out);
    free(said.errors);
}

static void test_misuse(void **state)
{
    (void)state;
    static char *nothing[] = {NULL};
    expect_misuse(nothing, "Usage: chaperone COMMAND");
    expect_misuse(ARGV("adit"), "unknown command \"adit\"; did you mean \"audit\"?");
    expect_misuse(ARGV("audit", "serch"), "did you mean \"audit search\"?");
    expect_misuse(ARGV("frobnicate"), "unknown command \"frobnicate\"\n");
    expect_misuse(ARGV("audit"), "audit search");
    expect_misuse(ARGV("audit", "search", "--tabel", "x"), "did you mean --table?");
    expect_misuse(ARGV("audit", "search", "orders"), "too many arguments: \"orders\"");
    expect_misuse(ARGV("audit", "search", "--since", "yesterday"), "15m, 2h or 7d");
    expect_misuse(ARGV("audit", "search", "--since", "1h", "--until", "2h"), "--since is after");
    expect_misuse(ARGV("audit", "search", "--kind", "intent,outcme"), "did you mean outcome?");
    expect_misuse(ARGV("audit", "search", "--verdict", "no"), "expected one of allow, deny, hold");
    expect_misuse(ARGV("audit", "search", "--limit", "0"), "at least 1");
    expect_misuse(ARGV("audit", "completeness", "--since", "soon"), "--since: ");
    expect_misuse(ARGV("audit", "completeness", "--silence", "x"), "--silence: ");
    expect_misuse(ARGV("audit", "reconcile"), "--postgres-log FILE is needed");
    expect_misuse(ARGV("audit", "reconcile", "--postgres-log", "x", "--tolerance", "y"),
                  "--tolerance: ");
    expect_misuse(ARGV("audit", "show"), "expected: chaperone audit show [OPTION...] SESSION");
    expect_misuse(ARGV("audit", "replay", "S", "--speed", "fast"), "0.1 to 100, or max");
    expect_misuse(ARGV("audit", "replay", "S", "--idle-limit", "-1"), "--idle-limit: expected");
    expect_misuse(ARGV("audit", "replay", "S", "--speed", "2", "--export", "x"), "--speed is for");
    expect_misuse(ARGV("audit", "replay", "S", "--into", "postgres://h/d", "--speed", "2"),
                  "--into cannot be together with --speed");
    expect_misuse(ARGV("audit", "replay", "S", "--yes", "--into", "postgres://u:secret@/d"),
                  "--into: expected one host");
    expect_misuse(ARGV("audit", "replay", "S", "--yes"), "are for --into");
    expect_misuse(ARGV("session", "kill"), "expected: chaperone session kill SESSION, or one of");
    expect_misuse(ARGV("session", "kill", "S", "--all"), "or one of --identity");
    expect_misuse(ARGV("session", "kill", "--identity", "x", "--resource", "y"), "or one of");
    expect_misuse(ARGV("session", "kill", "--identity", ""), "an empty name names nothing");
    expect_misuse(ARGV("session", "kill", ""), "an empty name names nothing");
    expect_misuse(ARGV("session", "kill", "S", "--allow-new"), "--allow-new is not for a session");
    expect_misuse(ARGV("session", "lift"), "expected: chaperone session lift BLOCK, or one of");
    expect_misuse(ARGV("session", "lift", "B", "--all"), "or one of --identity");
    expect_misuse(ARGV("join-token", "create", "--lifetime", "soon"), "15m");
    expect_misuse(ARGV("approvals", "aprove", "x"), "did you mean \"approvals approve\"?");
    expect_misuse(ARGV("approvals", "approve", "x", "--standing-uses", "2"), "--standing-for");
    expect_misuse(ARGV("approvals", "unlink", "slack"), "PROVIDER ACCOUNT");
    expect_misuse(ARGV("approvals", "watch", "--after", "x"), "expected a cursor");
    expect_misuse(ARGV("approvals", "revoke"), "expected: chaperone approvals revoke");
    expect_misuse(ARGV("login", "--device", "--no-browser"), "opens no browser");
    expect_misuse(ARGV("login", "--token", "refresh"), "expected one of id, access");
    expect_misuse(ARGV("dev"), "--dir DIR is needed");
    expect_misuse(ARGV("run", "--config", "x"), "expected: chaperone run");
    expect_misuse(ARGV("run", "--", "true"), "--config FILE is needed");
    expect_misuse(ARGV("witness"), "--dir DIR is needed");
    expect_misuse(ARGV("witness", "--dir", "x"), "--listen ADDRESS:PORT is needed");
    expect_misuse(ARGV("witness", "--dir", "x", "--listen", "here"), "expected ADDRESS:PORT");
    expect_misuse(ARGV("witness", "--dir", "x", "--listen", "unix:/x/.s.PGSQL.1"), "not a unix");
    expect_misuse(ARGV("witness", "--dir", "x", "--listen", "[::1]:0", "--tls-cert", "y"),
                  "go together");
    expect_misuse(ARGV("completion", "tcsh"), "expected bash, zsh or fish");
}

static void test_help(void **state)
{
    (void)state;
    expect_output(ARGV("--help"), "Usage: chaperone COMMAND");
    expect_output(ARGV("help"), "audit tail");
    expect_output(ARGV("--version"), "chaperone 0.");
    expect_output(ARGV("audit", "--help"), "Usage: chaperone audit COMMAND");
    expect_output(ARGV("help", "audit", "show"), "Usage: chaperone audit show [OPTION...] SESSION");
    expect_output(ARGV("session", "kill", "-h"), "--reason TEXT");
    /* Help is given also where the rest of the line is wrong. */
    expect_output(ARGV("audit", "search", "--help", "--nonsense"), "Examples:");
    expect_output(ARGV("run", "--help"), "125");
}

static void test_completion_knows_what_there_is(void **state)
{
    (void)state;
    static const char *const shells[] = {"bash", "zsh", "fish"};
    for (size_t i = 0; i < sizeof(shells) / sizeof(shells[0]); i++) {
        char *shell = (char *)(uintptr_t)shells[i];
        expect_output(ARGV("completion", shell), "sidecar-log");
        expect_output(ARGV("completion", shell), "allow deny hold");
        expect_output(ARGV("completion", shell), "join-token");
        expect_output(ARGV("completion", shell), "standing-for");
        expect_output(ARGV("completion", shell), "show-key");
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_misuse),
        cmocka_unit_test(test_help),
        cmocka_unit_test(test_completion_knows_what_there_is),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
