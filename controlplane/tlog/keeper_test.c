/* The log as it grows, is restarted, damaged, rolled back and forked. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "base/file.h"
#include "controlplane/files/files.h"
#include "controlplane/tlog/keeper_fixture.h"

static void a_log_grows_and_goes_on_after_a_restart(void **state)
{
    static const size_t more[] = {1, 4, 250, 1, 256, 1000, 70};
    struct fixture *f = *state;
    uint64_t size = 0;
    fixture_turn(f);
    struct keeper_checkpoint c;
    assert_int_equal(keeper_latest(f->keeper, f->arena, &c), ERR_NOT_FOUND);
    for (size_t i = 0; i < sizeof(more) / sizeof(more[0]); i++) {
        fixture_add(f, more[i]);
        size += more[i];
        fixture_turn(f);
        assert_state(f, KEEPER_SIGNING);
        c = fixture_checked(f, size);
        assert_string_equal(c.origin, FIXTURE_ORIGIN);
        if (i % 2 == 1) {
            fixture_close(f);
            fixture_open(f);
            fixture_turn(f);
            (void)fixture_checked(f, size);
        }
    }
    assert_int_equal(f->reports, 0);
}

static void one_checkpoint_in_an_interval(void **state)
{
    struct fixture *f = *state;
    struct keeper_checkpoint c;
    fixture_add(f, 10);
    assert_int_equal(keeper_turn(f->keeper), OK);
    (void)fixture_checked(f, 10);
    fixture_add(f, 1);
    f->shift_ns += 1000000000; /* of the two seconds */
    assert_int_equal(keeper_turn(f->keeper), OK);
    assert_int_equal(keeper_latest(f->keeper, f->arena, &c), OK);
    assert_int_equal(c.size, 10);
    assert_int_equal(fixture_status(f).size, 11);
    f->shift_ns += 1100000000;
    assert_int_equal(keeper_turn(f->keeper), OK);
    (void)fixture_checked(f, 11);
}

static struct bytes read_whole(struct fixture *f, const char *name, struct buffer *room)
{
    char path[256];
    fixture_path(f, name, path);
    buffer_clear(room);
    assert_int_equal(files_read(path, room, NULL), OK);
    return buffer_bytes(room);
}

static void the_directory_can_be_served(void **state)
{
    struct fixture *f = *state;
    struct buffer file;
    struct stat s;
    char path[256];
    buffer_init(&file, 1 << 20);
    fixture_add(f, 300);
    fixture_turn(f);
    struct keeper_checkpoint c = fixture_checked(f, 300);
    assert_true(bytes_equal(read_whole(f, "log/checkpoint", &file), c.note));
    assert_int_equal(read_whole(f, "log/tile/0/000", &file).size, TLOG_TILE_BYTES);
    assert_int_equal(read_whole(f, "log/tile/0/001.p/44", &file).size, 44 * TLOG_HASH_SIZE);
    assert_int_equal(read_whole(f, "log/tile/1/000.p/1", &file).size, TLOG_HASH_SIZE);
    assert_int_equal(read_whole(f, "log/tile/entries/001.p/44", &file).size, 44 * 34);
    fixture_path(f, "log/tile/0/000", path);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0644);
    fixture_path(f, "log/tile/0", path);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0755);
    fixture_path(f, "log.key", path);
    assert_int_equal(stat(path, &s), 0);
    assert_int_equal(s.st_mode & 0777, 0600);
    /* Partial tiles go when the full one is there. */
    fixture_add(f, 300);
    fixture_turn(f);
    fixture_path(f, "log/tile/0/001.p", path);
    assert_int_equal(access(path, F_OK), -1);
    fixture_path(f, "log/tile/0/001", path);
    assert_int_equal(access(path, F_OK), 0);
    buffer_finish(&file);
}

static void prove_all(struct fixture *f, const struct keeper_checkpoint *c)
{
    for (uint64_t i = 0; i < c->size; i += 1 + c->size / 50) {
        uint8_t hash[1][STORE_HASH_SIZE];
        size_t count = 0;
        struct tlog_hash leaf;
        struct tlog_proof proof;
        assert_int_equal(store_log_read(f->store, i, 1, hash, &count), OK);
        tlog_hash_leaf(bytes_of(hash[0], STORE_HASH_SIZE), &leaf);
        assert_int_equal(keeper_prove_inclusion(f->keeper, c, i, &leaf, &proof), OK);
        assert_true(tlog_tree_check_inclusion(&proof, c->size, i, &leaf, &c->root));
        assert_int_equal(keeper_prove_consistency(f->keeper, c, i, &proof), OK);
    }
}

static void proofs_are_of_any_checkpoint(void **state)
{
    struct fixture *f = *state;
    struct keeper_checkpoint c;
    for (int i = 0; i < 6; i++) {
        fixture_add(f, 130);
        fixture_turn(f);
    }
    for (uint64_t size = 1; size <= 780; size += 100) {
        assert_int_equal(keeper_checkpoint_from(f->keeper, size, f->arena, &c), OK);
        assert_int_equal(c.size, (size + 129) / 130 * 130);
        prove_all(f, &c);
    }
    assert_int_equal(keeper_checkpoint_from(f->keeper, 781, f->arena, &c), ERR_NOT_FOUND);
    assert_int_equal(keeper_await(f->keeper, 781, 1000000, f->arena, &c), ERR_TIMEOUT);
    assert_int_equal(keeper_await(f->keeper, 780, 1000000, f->arena, &c), OK);
}

/* --- damage ------------------------------------------------------------------------------------
 */

/* A full tile, the edge, a bundle, a tile above: whatever is flipped is mended from the records,
 * at the next start or while it runs. */
static void flipped_bits_are_mended(void **state)
{
    static const char *const names[] = {"log/tile/0/000", "log/tile/0/002.p/88",
                                        "log/tile/entries/001", "log/tile/1/000.p/2"};
    struct fixture *f = *state;
    struct buffer before, after;
    buffer_init(&before, 1 << 20);
    buffer_init(&after, 1 << 20);
    fixture_add(f, 600);
    fixture_turn(f);
    for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
        (void)read_whole(f, names[i], &before);
        fixture_close(f);
        fixture_flip(f, names[i], 37);
        fixture_open(f);
        fixture_turn(f);
        assert_state(f, KEEPER_SIGNING);
        assert_true(bytes_equal(read_whole(f, names[i], &after), buffer_bytes(&before)));
        struct keeper_checkpoint c = fixture_checked(f, 600);
        prove_all(f, &c);
    }
    assert_int_equal(f->reports, 0);
    buffer_finish(&before);
    buffer_finish(&after);
}

static void a_wrong_tile_gives_no_proof_and_is_mended(void **state)
{
    struct fixture *f = *state;
    struct tlog_hash leaf;
    struct tlog_proof proof;
    uint8_t hash[1][STORE_HASH_SIZE];
    size_t count = 0;
    fixture_add(f, 600);
    fixture_turn(f);
    struct keeper_checkpoint c = fixture_checked(f, 600);
    fixture_flip(f, "log/tile/0/000", 7 * TLOG_HASH_SIZE);
    assert_int_equal(store_log_read(f->store, 6, 1, hash, &count), OK);
    tlog_hash_leaf(bytes_of(hash[0], STORE_HASH_SIZE), &leaf);
    assert_int_equal(keeper_prove_inclusion(f->keeper, &c, 6, &leaf, &proof), ERR_UNAVAILABLE);
    fixture_turn(f);
    assert_state(f, KEEPER_SIGNING);
    assert_int_equal(keeper_prove_inclusion(f->keeper, &c, 6, &leaf, &proof), OK);
}

static void a_lost_directory_is_made_anew(void **state)
{
    struct fixture *f = *state;
    char a[256], b[256];
    fixture_add(f, 1000);
    fixture_turn(f);
    fixture_close(f);
    fixture_path(f, "log", a);
    fixture_path(f, "elsewhere", b);
    assert_int_equal(rename(a, b), 0);
    fixture_open(f);
    fixture_turn(f);
    struct keeper_checkpoint c = fixture_checked(f, 1000);
    prove_all(f, &c);
    assert_int_equal(f->reports, 0);
}

/* The file is what others are shown, not what is believed here. */
static void another_file_checkpoint_is_replaced(void **state)
{
    struct fixture *f = *state;
    struct buffer file;
    buffer_init(&file, 1 << 20);
    fixture_add(f, 10);
    fixture_turn(f);
    fixture_copy(f, "log/checkpoint", "old");
    fixture_add(f, 10);
    fixture_turn(f);
    struct keeper_checkpoint c = fixture_checked(f, 20);
    for (int i = 0; i < 2; i++) {
        fixture_close(f);
        fixture_copy(f, "old", "log/checkpoint"); /* replayed; then one that was forged */
        if (i == 1) {
            fixture_flip(f, "log/checkpoint", 20);
        }
        fixture_open(f);
        fixture_turn(f);
        assert_state(f, KEEPER_SIGNING);
        c = fixture_checked(f, 20);
        assert_true(bytes_equal(read_whole(f, "log/checkpoint", &file), c.note));
    }
    assert_int_equal(f->reports, 0);
    buffer_finish(&file);
}

/* --- a store that is not the one that was signed -----------------------------------------------
 */

static void restore(struct fixture *f, const char *backup)
{
    char path[256];
    fixture_close(f);
    fixture_copy(f, backup, "controlplane.db");
    fixture_path(f, "controlplane.db-wal", path);
    (void)unlink(path);
    fixture_path(f, "controlplane.db-shm", path);
    (void)unlink(path);
    fixture_open(f);
}

static void backup(struct fixture *f, const char *name)
{
    fixture_close(f); /* moves the -wal into the file */
    fixture_copy(f, "controlplane.db", name);
    fixture_open(f);
}

static void assert_stopped(struct fixture *f, enum keeper_state state, const char *kind)
{
    struct store_checkpoint c;
    uint64_t before = 0, size = 0;
    if (store_checkpoint_latest(f->store, f->arena, &c) == OK) {
        before = c.size;
    }
    fixture_turn(f);
    assert_state(f, state);
    assert_string_equal(f->reported, kind);
    assert_int_equal(f->reports, 1);
    /* Records are taken in; nothing is signed, not after a restart, and it is said once. */
    fixture_add(f, 100);
    fixture_turn(f);
    fixture_close(f);
    fixture_open(f);
    fixture_turn(f);
    if (store_checkpoint_latest(f->store, f->arena, &c) == OK) {
        size = c.size;
    }
    assert_int_equal(size, before);
    assert_int_equal(f->reports, 1);
}

static void an_older_backup_is_not_signed(void **state)
{
    struct fixture *f = *state;
    fixture_add(f, 100);
    fixture_turn(f);
    backup(f, "backup");
    fixture_turn(f);
    fixture_add(f, 200);
    fixture_turn(f);
    (void)fixture_checked(f, 300);
    restore(f, "backup");
    assert_stopped(f, KEEPER_ROLLED_BACK, "log_rolled_back");
}

/* The same number of records, but others: a backup to which new ones were added. */
static void other_records_are_not_signed(void **state)
{
    struct fixture *f = *state;
    fixture_add(f, 100);
    fixture_turn(f);
    backup(f, "backup");
    fixture_add(f, 50);
    fixture_turn(f);
    (void)fixture_checked(f, 150);
    restore(f, "backup");
    assert_int_equal(fixture_append(f->store, "s2", 80), OK);
    assert_stopped(f, KEEPER_FORKED, "log_forked");
}

/* The file `checkpoint` alone knows it: log.signed went with the backup. */
static void the_published_file_is_enough(void **state)
{
    struct fixture *f = *state;
    char path[256];
    fixture_add(f, 100);
    fixture_turn(f);
    backup(f, "backup");
    fixture_add(f, 300);
    fixture_turn(f);
    fixture_path(f, "log.signed", path);
    fixture_close(f);
    assert_int_equal(unlink(path), 0);
    fixture_open(f);
    restore(f, "backup");
    assert_stopped(f, KEEPER_ROLLED_BACK, "log_rolled_back");
}

/* The records came again, in the same order: nothing is lost, and the log goes on. */
static void the_same_records_again_are_the_same_log(void **state)
{
    struct fixture *f = *state;
    fixture_add(f, 100);
    fixture_turn(f);
    backup(f, "backup");
    fixture_add(f, 50);
    fixture_turn(f);
    restore(f, "backup");
    fixture_add(f, 60);
    fixture_turn(f);
    assert_state(f, KEEPER_SIGNING);
    (void)fixture_checked(f, 160);
    assert_int_equal(f->reports, 0);
}

/* Another key signed what is in the store: a data directory that is not this log's. */
static void a_foreign_log_is_left_alone(void **state)
{
    struct fixture *f = *state;
    char path[256];
    fixture_add(f, 10);
    fixture_turn(f);
    fixture_close(f);
    fixture_path(f, "log.key", path);
    assert_int_equal(unlink(path), 0);
    fixture_path(f, "log.yaml", path);
    assert_int_equal(unlink(path), 0);
    fixture_open(f);
    fixture_add(f, 10);
    fixture_turn(f);
    assert_state(f, KEEPER_FOREIGN);
    struct store_checkpoint c;
    assert_int_equal(store_checkpoint_latest(f->store, f->arena, &c), OK);
    assert_int_equal(c.size, 10);
}

/* Two control planes on one store, which both sign: each follows what the other signed, and there
 * is one tree of each size. */
static void two_on_one_store(void **state)
{
    struct fixture *f = *state;
    struct fixture other = *f;
    char path[256];
    fixture_add(f, 10);
    fixture_turn(f);
    scratch_create(other.directory);
    for (size_t i = 0; i < 2; i++) { /* they have the same key */
        static const char *const names[] = {"log.key", "log.yaml"};
        struct buffer content;
        buffer_init(&content, 1 << 16);
        fixture_path(f, names[i], path);
        assert_int_equal(files_read(path, &content, NULL), OK);
        fixture_path(&other, names[i], path);
        assert_int_equal(file_replace(path, 0600, buffer_bytes(&content), NULL), OK);
        buffer_finish(&content);
    }
    other.keeper = NULL;
    assert_int_equal(store_open_sqlite(f->database, NULL, &other.store, NULL), OK);
    assert_int_equal(fixture_create_keeper(&other, NULL), OK);
    uint64_t size = 10;
    for (int i = 0; i < 12; i++) {
        struct fixture *first = i % 3 == 0 ? &other : f, *second = i % 3 == 0 ? f : &other;
        fixture_add(first, 77);
        size += 77;
        fixture_turn(first);
        (void)fixture_checked(first, size);
        fixture_turn(second);
        struct keeper_checkpoint c = fixture_checked(second, size);
        assert_state(first, KEEPER_SIGNING);
        assert_state(second, KEEPER_SIGNING);
        prove_all(second, &c);
    }
    assert_int_equal(f->reports + other.reports, 0);
    fixture_close(&other);
    scratch_remove(other.directory);
}

static void a_directory_has_one_keeper(void **state)
{
    struct fixture *f = *state;
    struct keeper *first = f->keeper;
    struct err_text why = {0};
    assert_int_equal(fixture_create_keeper(f, &why), ERR_EXISTS);
    assert_non_null(strstr(why.text, "another control plane is running"));
    f->keeper = first;
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        FIXTURE_TEST(a_log_grows_and_goes_on_after_a_restart),
        FIXTURE_TEST(one_checkpoint_in_an_interval),
        FIXTURE_TEST(the_directory_can_be_served),
        FIXTURE_TEST(proofs_are_of_any_checkpoint),
        FIXTURE_TEST(flipped_bits_are_mended),
        FIXTURE_TEST(a_wrong_tile_gives_no_proof_and_is_mended),
        FIXTURE_TEST(a_lost_directory_is_made_anew),
        FIXTURE_TEST(another_file_checkpoint_is_replaced),
        FIXTURE_TEST(an_older_backup_is_not_signed),
        FIXTURE_TEST(other_records_are_not_signed),
        FIXTURE_TEST(the_published_file_is_enough),
        FIXTURE_TEST(the_same_records_again_are_the_same_log),
        FIXTURE_TEST(a_foreign_log_is_left_alone),
        FIXTURE_TEST(two_on_one_store),
        FIXTURE_TEST(a_directory_has_one_keeper),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
