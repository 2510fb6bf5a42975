#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <fcntl.h>
#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/testing/scratch.h"
#include "controlplane/blobs/directory.h"

struct fixture {
    char scratch[SCRATCH_SIZE];
    char path[256];
    struct blobs *blobs;
    struct buffer out;
    uint8_t name[BLOBS_NAME_SIZE];
    char file[512];
};

static const char content[] = "what is kept";

static int setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    char text[BLOBS_NAME_TEXT_SIZE];
    scratch_create(f->scratch);
    (void)snprintf(f->path, sizeof(f->path), "%s/blobs", f->scratch);
    buffer_init(&f->out, BLOBS_SIZE_MAX);
    blobs_name_of(bytes_of_string(content), f->name);
    blobs_name_text(f->name, text);
    (void)snprintf(f->file, sizeof(f->file), "%s/%.2s/%s", f->path, text, text);
    assert_int_equal(blobs_open_directory(f->path, &f->blobs, NULL), OK);
    *state = f;
    return 0;
}

static int teardown(void **state)
{
    struct fixture *f = *state;
    blobs_destroy(f->blobs);
    buffer_finish(&f->out);
    scratch_remove(f->scratch);
    free(f);
    return 0;
}

static void test_what_is_put_is_got_until_it_is_deleted(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {.text = ""};
    struct stat status;
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, &why), ERR_NOT_FOUND);
    assert_int_equal(blobs_delete(f->blobs, f->name, &why), OK);
    assert_int_equal(blobs_put(f->blobs, f->name, bytes_of_string(content), &why), OK);
    assert_int_equal(blobs_put(f->blobs, f->name, bytes_of_string(content), &why), OK);
    blobs_destroy(f->blobs);
    assert_int_equal(blobs_open_directory(f->path, &f->blobs, NULL), OK);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, &why), OK);
    assert_true(bytes_equal_string(buffer_bytes(&f->out), content));
    assert_int_equal(stat(f->file, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0600);
    assert_int_equal(stat(f->path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0700);
    assert_int_equal(blobs_delete(f->blobs, f->name, &why), OK);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, &why), ERR_NOT_FOUND);
}

static void test_a_name_is_the_hash(void **state)
{
    struct fixture *f = *state;
    f->name[0] ^= 1;
    assert_int_equal(blobs_put(f->blobs, f->name, bytes_of_string(content), NULL), ERR_INVALID);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_NOT_FOUND);
}

static void test_what_was_changed_is_not_given(void **state)
{
    struct fixture *f = *state;
    assert_int_equal(blobs_put(f->blobs, f->name, bytes_of_string(content), NULL), OK);
    assert_int_equal(truncate(f->file, 3), 0);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_DENIED);
    assert_int_equal(truncate(f->file, BLOBS_SIZE_MAX + 1), 0); /* and is not read to its end */
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_DENIED);
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(mkfifo(f->file, 0600), 0); /* nobody writes into it: it must not wait */
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_IO);
    assert_int_equal(unlink(f->file), 0);
    assert_int_equal(symlink("/etc/hostname", f->file), 0);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_IO);
}

/* A process's limit of a file's size stands for a disk that is full: the write fails half-way. */
static void test_a_full_disk(void **state)
{
    struct fixture *f = *state;
    struct err_text why = {.text = ""};
    struct rlimit before, small = {.rlim_cur = 4};
    assert_int_equal(getrlimit(RLIMIT_FSIZE, &before), 0);
    small.rlim_max = before.rlim_max;
    (void)signal(SIGXFSZ, SIG_IGN);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &small), 0);
    enum err e = blobs_put(f->blobs, f->name, bytes_of_string(content), &why);
    assert_int_equal(setrlimit(RLIMIT_FSIZE, &before), 0);
    assert_int_equal(e, ERR_FULL);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_NOT_FOUND);
    assert_int_equal(blobs_put(f->blobs, f->name, bytes_of_string(content), &why), OK);
}

/* A crash between writing and renaming: neither in the way, nor for ever. */
static void test_what_a_crash_left_is_deleted(void **state)
{
    struct fixture *f = *state;
    char left[600];
    assert_int_equal(blobs_put(f->blobs, f->name, bytes_of_string(content), NULL), OK);
    const char *slash = strrchr(f->file, '/');
    (void)snprintf(left, sizeof(left), "%.*s/.%s", (int)(slash - f->file), f->file, slash + 1);
    assert_int_equal(rename(f->file, left), 0);
    assert_int_equal(blobs_get(f->blobs, f->name, &f->out, NULL), ERR_NOT_FOUND);
    assert_int_equal(blobs_delete(f->blobs, f->name, NULL), OK);
    assert_int_equal(access(left, F_OK), -1);
}

int main(void)
{
#define TEST(name) cmocka_unit_test_setup_teardown(name, setup, teardown)
    const struct CMUnitTest tests[] = {
        TEST(test_what_is_put_is_got_until_it_is_deleted), TEST(test_a_name_is_the_hash),
        TEST(test_what_was_changed_is_not_given),          TEST(test_a_full_disk),
        TEST(test_what_a_crash_left_is_deleted),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
