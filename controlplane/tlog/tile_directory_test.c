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
#include "controlplane/tlog/tile_directory.h"

struct scene {
    char scratch[SCRATCH_SIZE], path[SCRATCH_SIZE + 8];
    struct tile_directory *directory;
    uint8_t data[TLOG_TILE_BYTES];
};

static int setup(void **state)
{
    struct scene *s = calloc(1, sizeof(*s));
    assert_non_null(s);
    scratch_create(s->scratch);
    (void)snprintf(s->path, sizeof(s->path), "%s/log", s->scratch);
    const struct tile_directory_options options = {.path = s->path};
    assert_int_equal(tile_directory_open(&options, &s->directory, NULL), OK);
    for (size_t i = 0; i < sizeof(s->data); i++) {
        s->data[i] = (uint8_t)(i * 7 + i / 256);
    }
    *state = s;
    return 0;
}

static int teardown(void **state)
{
    struct scene *s = *state;
    tile_directory_close(s->directory);
    scratch_remove(s->scratch);
    free(s);
    return 0;
}

static struct tlog_tile tile_of(unsigned level, uint64_t index, unsigned width)
{
    return (struct tlog_tile){
        .kind = TLOG_TILE_HASHES, .level = level, .index = index, .width = width};
}

static enum err put(struct scene *s, struct tlog_tile tile, struct err_text *why)
{
    return tile_directory_put(s->directory, &tile,
                              bytes_of(s->data, (size_t)tile.width * TLOG_HASH_SIZE), why);
}

static bool is_there(struct scene *s, const char *name)
{
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
    return access(path, F_OK) == 0;
}

static enum err read_tile(struct scene *s, struct tlog_tile tile, size_t *out_size)
{
    struct buffer data;
    buffer_init(&data, TILE_DIRECTORY_BUNDLE_MAX);
    enum err e = tile_directory_read(s->directory, &tile, &data);
    *out_size = buffer_size(&data);
    if (e == OK && tile.kind == TLOG_TILE_HASHES) {
        assert_memory_equal(buffer_bytes(&data).data, s->data, *out_size);
    }
    buffer_finish(&data);
    return e;
}

static void a_full_tile_is_never_replaced(void **state)
{
    struct scene *s = *state;
    struct err_text why = {0};
    assert_int_equal(put(s, tile_of(0, 1234067, 256), &why), OK);
    assert_true(is_there(s, "tile/0/x001/x234/067"));
    assert_int_equal(put(s, tile_of(0, 1234067, 256), &why), OK); /* the same bytes */
    s->data[100] ^= 1;
    assert_int_equal(put(s, tile_of(0, 1234067, 256), &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "tile/0/x001/x234/067"));
    tile_directory_set_repairing(s->directory, true);
    assert_int_equal(put(s, tile_of(0, 1234067, 256), &why), OK);
    tile_directory_set_repairing(s->directory, false);
    size_t size = 0;
    assert_int_equal(read_tile(s, tile_of(0, 1234067, 256), &size), OK);
    assert_int_equal(size, TLOG_TILE_BYTES);
    assert_int_equal(tile_directory_sync(s->directory, &why), OK);
}

static void a_narrower_tile_is_the_beginning_of_a_wider_one(void **state)
{
    struct scene *s = *state;
    size_t size = 0;
    assert_int_equal(read_tile(s, tile_of(0, 0, 17), &size), ERR_NOT_FOUND);
    assert_int_equal(put(s, tile_of(0, 0, 40), NULL), OK);
    assert_int_equal(read_tile(s, tile_of(0, 0, 17), &size), OK);
    assert_int_equal(size, 17 * TLOG_HASH_SIZE);
    assert_int_equal(read_tile(s, tile_of(0, 0, 41), &size), ERR_NOT_FOUND);
    assert_int_equal(put(s, tile_of(0, 0, 256), NULL), OK);
    assert_int_equal(read_tile(s, tile_of(0, 0, 41), &size), OK);
    assert_int_equal(size, 41 * TLOG_HASH_SIZE);
}

static void a_bundle_is_given_as_wide_as_asked(void **state)
{
    struct scene *s = *state;
    struct tlog_tile bundle = {.kind = TLOG_TILE_ENTRIES, .width = 3};
    struct buffer data;
    size_t size = 0;
    buffer_init(&data, 1000);
    assert_int_equal(tlog_bundle_append(&data, bytes_of_string("one")), OK);
    assert_int_equal(tlog_bundle_append(&data, bytes_of_string("")), OK);
    assert_int_equal(tlog_bundle_append(&data, bytes_of_string("three")), OK);
    assert_int_equal(tile_directory_put(s->directory, &bundle, buffer_bytes(&data), NULL), OK);
    bundle.width = 2;
    assert_int_equal(read_tile(s, bundle, &size), OK);
    assert_int_equal(size, 2 + 3 + 2);
    buffer_finish(&data);
}

/* A file that somebody cut off is not taken for a tile. */
static void a_file_of_another_size_is_refused(void **state)
{
    struct scene *s = *state;
    char path[256];
    size_t size = 0;
    assert_int_equal(put(s, tile_of(0, 0, 256), NULL), OK);
    (void)snprintf(path, sizeof(path), "%s/tile/0/000", s->path);
    assert_int_equal(truncate(path, 100), 0);
    assert_int_equal(read_tile(s, tile_of(0, 0, 256), &size), ERR_INVALID);
    assert_int_equal(read_tile(s, tile_of(0, 0, 3), &size), ERR_INVALID);
}

static void only_what_a_tree_has_stays(void **state)
{
    static const struct {
        unsigned level;
        uint64_t index;
        unsigned width;
        bool stays;
        const char *name;
    } all[] = {
        {0, 0, 256, true, "tile/0/000"},
        {0, 0, 100, false, "tile/0/000.p/100"},
        {0, 1, 256, true, "tile/0/001"},
        {0, 2, 88, true, "tile/0/002.p/88"},
        {0, 2, 70, true, "tile/0/002.p/70"},
        {0, 2, 89, false, "tile/0/002.p/89"},
        {0, 3, 1, false, "tile/0/003.p/1"},
        {1, 0, 2, true, "tile/1/000.p/2"},
        {1, 0, 3, false, "tile/1/000.p/3"},
        {2, 0, 1, false, "tile/2/000.p/1"},
        {0, 70000, 5, false, "tile/0/x070/000.p/5"},
    };
    struct scene *s = *state;
    char path[256];
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        assert_int_equal(put(s, tile_of(all[i].level, all[i].index, all[i].width), NULL), OK);
        assert_true(is_there(s, all[i].name));
    }
    (void)snprintf(path, sizeof(path), "%s/tile/0/README", s->path);
    assert_int_equal(file_replace(path, 0644, bytes_of_string("x"), NULL), OK);
    assert_int_equal(tile_directory_trim(s->directory, 600, NULL), OK);
    for (size_t i = 0; i < sizeof(all) / sizeof(all[0]); i++) {
        if (is_there(s, all[i].name) != all[i].stays) {
            fail_msg("%s", all[i].name);
        }
    }
    assert_true(is_there(s, "tile/0/README")); /* whoever put it there */
    assert_false(is_there(s, "tile/0/x070"));  /* no empty directories are left */
}

static void partial_tiles_go_when_they_are_full(void **state)
{
    struct scene *s = *state;
    assert_int_equal(put(s, tile_of(0, 1, 10), NULL), OK);
    assert_int_equal(put(s, tile_of(0, 1, 44), NULL), OK);
    assert_int_equal(put(s, tile_of(1, 0, 1), NULL), OK);
    tile_directory_sweep(s->directory, 300, 500);
    assert_true(is_there(s, "tile/0/001.p/44"));
    assert_int_equal(put(s, tile_of(0, 1, 256), NULL), OK);
    tile_directory_sweep(s->directory, 300, 512);
    assert_false(is_there(s, "tile/0/001.p"));
    assert_true(is_there(s, "tile/0/001"));
    assert_true(is_there(s, "tile/1/000.p/1"));
}

static void a_checkpoint_is_replaced_whole(void **state)
{
    struct scene *s = *state;
    struct buffer note;
    struct stat status;
    char path[256];
    buffer_init(&note, 100);
    assert_int_equal(tile_directory_published(s->directory, &note), ERR_NOT_FOUND);
    assert_int_equal(tile_directory_publish(s->directory, bytes_of_string("a longer one"), NULL),
                     OK);
    assert_int_equal(tile_directory_publish(s->directory, bytes_of_string("short"), NULL), OK);
    assert_int_equal(tile_directory_published(s->directory, &note), OK);
    assert_true(bytes_equal_string(buffer_bytes(&note), "short"));
    assert_false(is_there(s, ".new"));
    (void)snprintf(path, sizeof(path), "%s/checkpoint", s->path);
    assert_int_equal(stat(path, &status), 0);
    assert_int_equal(status.st_mode & 0777, 0644);
    buffer_finish(&note);
}

static mode_t mode_of(struct scene *s, const char *name)
{
    struct stat status;
    char path[256];
    (void)snprintf(path, sizeof(path), "%s/%s", s->path, name);
    assert_int_equal(stat(path, &status), 0);
    return status.st_mode & 0777;
}

/* Whatever the umask is, and where the one who made a directory died before it was opened. */
static void others_may_read_the_directories(void **state)
{
    struct scene *s = *state;
    static const uint8_t data[TLOG_TILE_BYTES] = {1};
    const struct tlog_tile tile = {.index = 1234, .width = TLOG_TILE_WIDTH};
    char path[256];
    mode_t before = umask(077);
    assert_int_equal(tile_directory_put(s->directory, &tile, bytes_of(data, sizeof(data)), NULL),
                     OK);
    (void)umask(before);
    assert_int_equal(mode_of(s, "tile/0/x001"), 0755);
    assert_int_equal(mode_of(s, "tile/0/x001/234"), 0644);
    (void)snprintf(path, sizeof(path), "%s/tile/0/x001", s->path);
    assert_int_equal(chmod(path, 0700), 0);
    assert_int_equal(tile_directory_trim(s->directory, 2000 * TLOG_TILE_WIDTH, NULL), OK);
    assert_int_equal(mode_of(s, "tile/0/x001"), 0755);
    assert_true(is_there(s, "tile/0/x001/234"));
}

int main(void)
{
#define CASE(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
    const struct CMUnitTest tests[] = {
        CASE(a_full_tile_is_never_replaced),
        CASE(a_narrower_tile_is_the_beginning_of_a_wider_one),
        CASE(a_bundle_is_given_as_wide_as_asked),
        CASE(a_file_of_another_size_is_refused),
        CASE(only_what_a_tree_has_stays),
        CASE(partial_tiles_go_when_they_are_full),
        CASE(a_checkpoint_is_replaced_whole),
        CASE(others_may_read_the_directories),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
