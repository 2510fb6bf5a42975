/* The contract on SQLite, and what only a file can suffer. */
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "controlplane/store/store_contract.h"
#include "controlplane/store/store_file.h"
#include "controlplane/store/store_statements.h"

static struct store *contract_open(void *context)
{
    store_file_make(context);
    return store_file_open(context, NULL);
}

static struct store *contract_reopen(void *context, struct store *store)
{
    store_close(store);
    return store_file_open(context, NULL);
}

static void contract_close(void *context, struct store *store)
{
    store_close(store);
    store_file_remove(context);
}

static void mode_check(const struct store_file *f, const char *suffix)
{
    char path[320];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s%s", f->path, suffix);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
}

static void test_nobody_else_may_read_the_file(void **state)
{
    const struct store_file *f = *state;
    int fd = open(f->path, O_CREAT | O_WRONLY | O_CLOEXEC, 0644); /* as an unaware admin made it */
    assert_true(fd >= 0);
    assert_int_equal(fchmod(fd, 0644), 0);
    assert_int_equal(close(fd), 0);
    struct store *store = store_file_open(f, NULL);
    mode_check(f, "");
    mode_check(f, "-wal");
    mode_check(f, "-shm");
    store_close(store);
}

static void file_write(const char *path, long at, const void *data, size_t size)
{
    int fd = open(path, O_CREAT | O_WRONLY | O_CLOEXEC, 0600);
    assert_true(fd >= 0);
    assert_int_equal(pwrite(fd, data, size, at), size);
    assert_int_equal(close(fd), 0);
}

static void test_what_is_no_store_is_refused(void **state)
{
    const struct store_file *f = *state;
    char text[8192];
    memset(text, 'x', sizeof(text));
    store_file_refuse(f->directory, ERR_IO, "cannot open");
    file_write(f->path, 0, text, sizeof(text));
    store_file_refuse(f->path, ERR_INVALID, "not a database");
    assert_int_equal(unlink(f->path), 0);
    store_file_sql(f, "CREATE TABLE recipe (name TEXT)");
    store_file_refuse(f->path, ERR_INVALID, "another program");
    store_file_sql(f, "INSERT INTO recipe VALUES ('untouched'); DROP TABLE recipe;"
                      "CREATE TABLE schema_version (version INTEGER)");
    store_file_refuse(f->path, ERR_INVALID, "another program");
}

static void test_a_newer_schema_is_refused(void **state)
{
    const struct store_file *f = *state;
    store_close(store_file_open(f, NULL));
    store_file_sql(f, "INSERT INTO schema_version VALUES (99, 0)");
    store_file_refuse(f->path, ERR_INVALID, "newer version of this program");
    store_file_sql(f, "DELETE FROM schema_version WHERE version = 99");
    store_close(store_file_open(f, NULL));
}

static void test_a_damaged_file_is_refused(void **state)
{
    const struct store_file *f = *state;
    struct stat status;
    char noise[4096];
    struct store *store = store_file_open(f, NULL);
    statements_append(store, 1, 100);
    store_close(store);
    assert_int_equal(stat(f->path, &status), 0);
    memset(noise, 0xa5, sizeof(noise));
    file_write(f->path, (long)(status.st_size / 4096 / 2 * 4096), noise, sizeof(noise));
    store_file_refuse(f->path, ERR_INVALID, "damaged");
    assert_int_equal(truncate(f->path, status.st_size / 2), 0);
    store_file_refuse(f->path, ERR_IO, "damaged");
}

static void test_a_full_disk_is_said_and_survived(void **state)
{
    const struct store_file *f = *state;
    const struct store_sqlite_options small = {.page_count_max = 120};
    struct store_audit_last last;
    struct store *store = store_file_open(f, &small);
    uint64_t sequence = 1;
    enum err err = OK;
    while (err == OK && sequence < 1000) {
        err = statements_append_one(store, sequence);
        sequence += err == OK;
    }
    assert_int_equal(err, ERR_FULL);
    assert_true(sequence > 1);
    /* What was acknowledged is there, what was not is not; room makes it go on. */
    assert_int_equal(store_audit_last(store, "s1", &last), OK);
    assert_int_equal(last.sequence, sequence - 1);
    store_close(store);
    store = store_file_open(f, NULL);
    statements_append(store, sequence, 50);
    assert_int_equal(store_audit_last(store, "s1", &last), OK);
    assert_int_equal(last.sequence, sequence + 49);
    store_close(store);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        STORE_FILE_TEST(test_nobody_else_may_read_the_file),
        STORE_FILE_TEST(test_what_is_no_store_is_refused),
        STORE_FILE_TEST(test_a_newer_schema_is_refused),
        STORE_FILE_TEST(test_a_damaged_file_is_refused),
        STORE_FILE_TEST(test_a_full_disk_is_said_and_survived),
    };
    struct store_file file;
    const struct store_contract contract = {
        .open_empty = contract_open,
        .reopen = contract_reopen,
        .close = contract_close,
        .context = &file,
    };
    int failed = store_contract_run(&contract);
    return failed + cmocka_run_group_tests(tests, NULL, NULL);
}
