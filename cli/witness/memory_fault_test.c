/* The disk's calls in their order, and each of them failing. They are wrapped by the linker
 * (--wrap), so this test is linked statically. */
#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <sys/stat.h>
#include <unistd.h>

#include "cli/witness/memory_fixture.h"

#define ORIGIN "log.example/audit"

enum { CALLS_MAX = 32 };

/* What the wrapped calls share with the test; tests run one after another. */
static struct {
    bool is_on;
    size_t fail_at; /* from 1; 0: none */
    size_t count;
    const char *names[CALLS_MAX];
} disk;

int __real_fsync(int fd);
int __real_rename(const char *from, const char *to);
ssize_t __real_write(int fd, const void *data, size_t size);
int __wrap_fsync(int fd);
int __wrap_rename(const char *from, const char *to);
ssize_t __wrap_write(int fd, const void *data, size_t size);

static bool call_fails(const char *name)
{
    if (!disk.is_on || disk.count == CALLS_MAX) {
        return false;
    }
    disk.names[disk.count++] = name;
    errno = EIO;
    return disk.count == disk.fail_at;
}

int __wrap_fsync(int fd)
{
    struct stat s;
    bool is_directory = fstat(fd, &s) == 0 && S_ISDIR(s.st_mode);
    return call_fails(is_directory ? "sync directory" : "sync file") ? -1 : __real_fsync(fd);
}

int __wrap_rename(const char *from, const char *to)
{
    return call_fails("rename") ? -1 : __real_rename(from, to);
}

ssize_t __wrap_write(int fd, const void *data, size_t size)
{
    /* Half of it is there when it fails. */
    if (call_fails("write")) {
        (void)!__real_write(fd, data, size / 2);
        errno = EIO;
        return -1;
    }
    return __real_write(fd, data, size);
}

static enum err keep(struct fixture *f, uint64_t size, size_t fail_at)
{
    struct tlog_checkpoint checkpoint = {.origin = bytes_of_string(ORIGIN), .size = size};
    struct buffer text, note;
    buffer_init(&text, 4096);
    buffer_init(&note, 4096);
    assert_int_equal(tlog_checkpoint_format(&checkpoint, &text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&text), &f->self, 1, 1, &note), OK);
    disk.is_on = true;
    disk.count = 0;
    disk.fail_at = fail_at;
    enum err e = memory_keep(f->memory, ORIGIN, buffer_bytes(&note), &f->why);
    disk.is_on = false;
    buffer_finish(&text);
    buffer_finish(&note);
    return e;
}

static uint64_t size_on_disk(struct fixture *f)
{
    struct witness_seen seen = {.size = UINT64_MAX};
    assert_int_equal(memory_load(f->memory, ORIGIN, &f->self.verifier, &seen, &f->why), OK);
    return seen.size;
}

/* It is kept when the name is on the disk, not before. */
static void the_order_of_a_safe_write(void **state)
{
    struct fixture *f = *state;
    static const char *const order[] = {"write", "sync file", "rename", "sync directory"};
    assert_int_equal(keep(f, 5, 0), OK);
    assert_int_equal(disk.count, sizeof(order) / sizeof(order[0]));
    for (size_t i = 0; i < disk.count; i++) {
        assert_string_equal(disk.names[i], order[i]);
    }
}

static void each_call_fails(void **state)
{
    struct fixture *f = *state;
    uint64_t kept = 0;
    for (size_t n = 1; n <= 4; n++) {
        assert_int_equal(keep(f, 10 * n, 0), OK);
        kept = 10 * n;
        assert_int_equal(keep(f, kept + 1, n), ERR_IO);
        bool is_sure = n <= 2;
        uint64_t on_disk = size_on_disk(f);
        assert_true(on_disk == kept || (!is_sure && on_disk == kept + 1));
        /* Where it cannot be told, nothing more is kept until a new start. */
        assert_int_equal(keep(f, kept + 2, 0), is_sure ? OK : ERR_IO);
        memory_destroy(f->memory);
        f->memory = NULL;
        assert_int_equal(memory_create(f->directory, &f->memory, &f->why), OK);
        assert_int_equal(size_on_disk(f), is_sure ? kept + 2 : on_disk);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_order_of_a_safe_write, set_up, tear_down),
        cmocka_unit_test_setup_teardown(each_call_fails, set_up, tear_down),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
