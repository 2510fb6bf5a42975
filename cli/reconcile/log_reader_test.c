#include "cli/reconcile/log_reader.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include <cmocka.h>

/* A record of csvlog with this severity, message and query. */
static void put(FILE *f, const char *severity, const char *message, const char *query)
{
    (void)fprintf(
        f,
        "2026-11-21 16:46:21.559 UTC,\"app\",\"shop\",25372,\"127.0.0.1:42656\",6b01cadd.631c,"
        "2,\"idle\",2026-11-21 16:46:21 UTC,3/3,0,%s,00000,\"%s\",,,,,,\"%s\",,,\"lines\","
        "\"client backend\",,0\n",
        severity, message, query);
}

struct file {
    char path[64];
    FILE *out;
};

static void file_init(struct file *f)
{
    const char *dir = getenv("TEST_TMPDIR");
    assert_int_equal(chdir(dir == NULL ? "/" : dir), 0);
    (void)snprintf(f->path, sizeof(f->path), "log_reader_XXXXXX");
    int fd = mkstemp(f->path);
    assert_true(fd >= 0);
    f->out = fdopen(fd, "w");
    assert_non_null(f->out);
}

/* All statements, one a line; then how it ended. */
static enum err read_all(struct file *f, char *out, size_t size)
{
    struct log_reader *r = NULL;
    struct server_log_line line;
    struct statement s;
    struct err_text why = {0};
    size_t used = 0;
    assert_int_equal(fclose(f->out), 0);
    assert_int_equal(log_reader_open(f->path, &r, &why), OK);
    enum err e = OK;
    for (e = log_reader_next(r, &line, &s, &why); e == OK;
         e = log_reader_next(r, &line, &s, &why)) {
        used +=
            (size_t)snprintf(out + used, size - used, "%d %.*s\n", (int)s.kind,
                             s.text.size > 40 ? 40 : (int)s.text.size, (const char *)s.text.data);
        assert_true(log_reader_time(r) > 0);
    }
    log_reader_close(r);
    assert_int_equal(unlink(f->path), 0);
    return e;
}

static void test_one_execution_is_one_statement(void **state)
{
    (void)state;
    struct file f;
    char said[1024] = "";
    file_init(&f);
    put(f.out, "LOG", "statement: A", "");
    put(f.out, "LOG", "AUDIT: SESSION,1,1,READ,SELECT,,,A,<none>", "");
    put(f.out, "ERROR", "division by zero", "A");
    put(f.out, "LOG", "statement: A", "");
    put(f.out, "ERROR", "syntax error", "B");
    put(f.out, "LOG", "AUDIT: SESSION,1,1,READ,SELECT,,,C,<none>", "");
    put(f.out, "LOG", "duration: 1.000 ms  statement: C", "");
    put(f.out, "LOG", "duration: 1.000 ms  statement: C", "");
    put(f.out, "LOG", "checkpoint complete", "");
    assert_int_equal(read_all(&f, said, sizeof(said)), ERR_NOT_FOUND);
    assert_string_equal(said, "1 A\n1 A\n3 B\n4 C\n2 C\n");
}

static void test_a_large_record_and_a_cut_one(void **state)
{
    (void)state;
    struct file f;
    char said[1024] = "";
    file_init(&f);
    char *large = malloc(3 << 20);
    assert_non_null(large);
    memset(large, 'x', 3 << 20);
    memcpy(large, "statement: ", 11);
    large[(3 << 20) - 1] = '\0';
    put(f.out, "LOG", large, "");
    put(f.out, "LOG", "statement: A", "");
    (void)fputs("2026-11-21 16:46:21.559 UTC,\"app\",\"sho", f.out);
    free(large);
    assert_int_equal(read_all(&f, said, sizeof(said)), ERR_NOT_FOUND);
    assert_string_equal(said, "1 xxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxxx\n1 A\n");
}

static void test_a_wrong_record(void **state)
{
    (void)state;
    struct file f;
    char said[1024] = "";
    file_init(&f);
    put(f.out, "LOG", "statement: A", "");
    (void)fputs("no, this is none\n", f.out);
    put(f.out, "LOG", "statement: B", "");
    assert_int_equal(read_all(&f, said, sizeof(said)), ERR_INVALID);
    assert_string_equal(said, "1 A\n");
}

static void test_no_file(void **state)
{
    (void)state;
    struct log_reader *r = NULL;
    struct err_text why = {0};
    assert_int_equal(log_reader_open("/nowhere/log", &r, &why), ERR_NOT_FOUND);
    assert_non_null(strstr(why.text, "/nowhere/log"));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(test_one_execution_is_one_statement),
        cmocka_unit_test(test_a_large_record_and_a_cut_one),
        cmocka_unit_test(test_a_wrong_record),
        cmocka_unit_test(test_no_file),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
