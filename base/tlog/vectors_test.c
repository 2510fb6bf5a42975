/* Agreement with golang.org/x/mod/sumdb: what it made is understood and made again byte by byte;
 * what it accepted of ours (testdata/ours.*, judged by e2e/tlog/vectors.sh check) is what is made
 * today. */
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "base/tlog/fixture.h"

static struct fixture_store store;
static struct tlog_tile_reader *tiles;
static struct tlog_reader reader;

static int log_setup(void **state)
{
    (void)state;
    fixture_grow(&store, 0, FIXTURE_SIZE);
    if (tlog_tile_reader_create(fixture_store_source(&store), FIXTURE_SIZE, &tiles) != OK) {
        return -1;
    }
    reader = tlog_tile_reader_as_reader(tiles);
    return 0;
}

static int log_teardown(void **state)
{
    (void)state;
    tlog_tile_reader_destroy(tiles);
    fixture_store_finish(&store);
    return 0;
}

static void hash_of(const char *text, struct tlog_hash *out)
{
    struct buffer b;
    buffer_init(&b, 64);
    assert_int_equal(crypto_base64_decode(bytes_of_string(text), &b), OK);
    assert_int_equal(buffer_size(&b), TLOG_HASH_SIZE);
    assert_non_null(b.data);
    memcpy(out->bytes, b.data, TLOG_HASH_SIZE);
    buffer_finish(&b);
}

static void root_of(uint64_t size, struct tlog_hash *out)
{
    assert_int_equal(tlog_tree_root(&reader, size, out), OK);
}

static uint64_t number_next(char **words)
{
    char *word = strtok_r(NULL, " ", words);
    assert_non_null(word);
    return strtoull(word, NULL, 10);
}

static void proof_equal(const struct tlog_proof *proof, char **words)
{
    size_t count = 0;
    for (char *word; (word = strtok_r(NULL, " ", words)) != NULL; count++) {
        struct tlog_hash want;
        hash_of(word, &want);
        assert_true(count < proof->count);
        assert_memory_equal(proof->hashes[count].bytes, want.bytes, TLOG_HASH_SIZE);
    }
    assert_int_equal(count, proof->count);
}

static void line_root(char **words)
{
    struct tlog_hash got, want;
    root_of(number_next(words), &got);
    hash_of(strtok_r(NULL, " ", words), &want);
    assert_memory_equal(got.bytes, want.bytes, TLOG_HASH_SIZE);
}

static void line_inclusion(char **words)
{
    uint64_t size = number_next(words), index = number_next(words);
    struct tlog_proof proof;
    struct tlog_hash leaf, root;
    char room[32];
    assert_int_equal(tlog_tree_prove_inclusion(&reader, size, index, &proof), OK);
    proof_equal(&proof, words);
    tlog_hash_leaf(fixture_record(index, room), &leaf);
    root_of(size, &root);
    assert_true(tlog_tree_check_inclusion(&proof, size, index, &leaf, &root));
}

static void line_consistency(char **words)
{
    uint64_t size = number_next(words), before = number_next(words);
    struct tlog_proof proof;
    struct tlog_hash root, before_root;
    assert_int_equal(tlog_tree_prove_consistency(&reader, size, before, &proof), OK);
    proof_equal(&proof, words);
    root_of(size, &root);
    root_of(before, &before_root);
    assert_true(tlog_tree_check_consistency(&proof, size, before, &root, &before_root));
}

/* The visitor of line_tiles: the next word is the tile's path. */
static enum err tile_is_next(void *context, const struct tlog_tile *tile)
{
    char path[TLOG_TILE_PATH_SIZE];
    char *word = strtok_r(NULL, " ", (char **)context);
    assert_non_null(word);
    assert_int_equal(tlog_tile_format_path(tile, path), OK);
    assert_string_equal(path, word);
    return OK;
}

static void line_tiles(char **words)
{
    uint64_t before = number_next(words), after = number_next(words);
    assert_int_equal(tlog_tile_each_new(before, after, tile_is_next, (void *)words), OK);
    assert_null(strtok_r(NULL, " ", words));
}

static void line_tile(char **words)
{
    struct tlog_tile tile;
    uint8_t data[TLOG_TILE_BYTES], digest[CRYPTO_SHA256_SIZE];
    char hex[2 * CRYPTO_SHA256_SIZE + 1];
    assert_int_equal(tlog_tile_parse_path(bytes_of_string(strtok_r(NULL, " ", words)), &tile), OK);
    struct tlog_tile_source source = fixture_store_source(&store);
    assert_int_equal(source.load(source.context, &tile, data), OK);
    crypto_sha256_of(bytes_of(data, (size_t)tile.width * TLOG_HASH_SIZE), digest);
    crypto_hex_encode(bytes_of(digest, sizeof(digest)), hex);
    assert_string_equal(hex, strtok_r(NULL, " ", words));
}

static void line_path(char **words)
{
    bool is_entries = strcmp(strtok_r(NULL, " ", words), "-1") == 0;
    struct tlog_tile tile = {.kind = is_entries ? TLOG_TILE_ENTRIES : TLOG_TILE_HASHES}, back;
    tile.index = number_next(words);
    tile.width = (unsigned)number_next(words);
    const char *want = strtok_r(NULL, " ", words);
    char path[TLOG_TILE_PATH_SIZE];
    assert_int_equal(tlog_tile_format_path(&tile, path), OK);
    assert_string_equal(path, want);
    assert_int_equal(tlog_tile_parse_path(bytes_of_string(want), &back), OK);
    assert_int_equal(back.kind, tile.kind);
    assert_int_equal(back.level, 0);
    assert_int_equal(back.index, tile.index);
    assert_int_equal(back.width, tile.width);
}

static void line_key(char **words)
{
    const char *name = strtok_r(NULL, " ", words), *text = strtok_r(NULL, " ", words);
    struct tlog_verifier got, want;
    struct err_text why = {.text = ""};
    struct buffer again;
    buffer_init(&again, TLOG_VERIFIER_TEXT_MAX);
    assert_int_equal(tlog_verifier_parse(bytes_of_string(text), &got, &why), OK);
    fixture_verifier(name, got.type, &want);
    assert_string_equal(got.name, name);
    assert_int_equal(got.id, want.id);
    assert_memory_equal(got.public_key, want.public_key, sizeof(want.public_key));
    assert_int_equal(tlog_verifier_format(&want, &again), OK);
    assert_int_equal(buffer_size(&again), strlen(text));
    assert_memory_equal(buffer_bytes(&again).data, text, strlen(text));
    buffer_finish(&again);
}

static void tree_tiles_and_keys_agree(void **state)
{
    (void)state;
    static const struct {
        const char *what;
        void (*check)(char **words);
        size_t at_least;
    } kinds[] = {{"root", line_root, 31},
                 {"inclusion", line_inclusion, 200},
                 {"consistency", line_consistency, 200},
                 {"tiles", line_tiles, 12},
                 {"tile", line_tile, 10},
                 {"path", line_path, 64},
                 {"key", line_key, 5}};
    enum { KINDS = sizeof(kinds) / sizeof(kinds[0]) };
    size_t seen[KINDS] = {0}, size;
    char *text = fixture_read("theirs.txt", &size), *lines = NULL;
    for (char *line = strtok_r(text, "\n", &lines); line != NULL;
         line = strtok_r(NULL, "\n", &lines)) {
        char *words = NULL;
        const char *what = strtok_r(line, " ", &words);
        size_t kind = 0;
        while (kind < KINDS && strcmp(kinds[kind].what, what) != 0) {
            kind++;
        }
        assert_true(kind < KINDS);
        kinds[kind].check(&words);
        seen[kind]++;
    }
    for (size_t i = 0; i < KINDS; i++) {
        assert_true(seen[i] >= kinds[i].at_least);
    }
    free(text);
}

static void trust_of(struct tlog_verifier *logs, struct tlog_verifier *witnesses,
                     struct tlog_trust *out)
{
    fixture_verifier(FIXTURE_ORIGIN, TLOG_KEY_ED25519, &logs[0]);
    fixture_verifier("next." FIXTURE_ORIGIN, TLOG_KEY_ED25519, &logs[1]);
    fixture_verifier("w1.example", TLOG_KEY_COSIGNATURE, &witnesses[0]);
    fixture_verifier("w2.example", TLOG_KEY_COSIGNATURE, &witnesses[1]);
    *out = (struct tlog_trust){.origin = FIXTURE_ORIGIN,
                               .logs = logs,
                               .log_count = 2,
                               .witnesses = witnesses,
                               .witness_count = 2,
                               .quorum = 2};
}

static void their_checkpoint_and_proof_are_believed(void **state)
{
    (void)state;
    struct tlog_verifier logs[2], witnesses[2];
    struct tlog_trust trust;
    struct tlog_checkpoint checkpoint;
    struct tlog_checkpoint_seal seal;
    struct tlog_hash root;
    struct err_text why = {.text = ""};
    size_t size;
    uint64_t index;
    char room[32], *note = fixture_read("checkpoint.note", &size);
    trust_of(logs, witnesses, &trust);
    assert_int_equal(tlog_checkpoint_open(bytes_of(note, size), &trust, &checkpoint, &seal, &why),
                     OK);
    assert_int_equal(checkpoint.size, FIXTURE_SIZE);
    root_of(FIXTURE_SIZE, &root);
    assert_memory_equal(checkpoint.root.bytes, root.bytes, TLOG_HASH_SIZE);
    assert_int_equal(seal.witnesses, 2);
    assert_int_equal(seal.earliest, FIXTURE_TIME);
    free(note);

    char *file = fixture_read("theirs.tlog-proof", &size);
    assert_int_equal(tlog_proof_file_check(bytes_of(file, size), fixture_record(69999, room),
                                           &trust, &index, &checkpoint, &why),
                     OK);
    assert_int_equal(index, 69999);
    assert_int_equal(tlog_proof_file_check(bytes_of(file, size), fixture_record(69998, room),
                                           &trust, &index, &checkpoint, &why),
                     ERR_DENIED);
    free(file);
}

/* Ed25519 is deterministic: the same text and keys give the same note. */
static void our_note_is_their_note(void **state)
{
    (void)state;
    struct buffer ours;
    size_t size;
    buffer_init(&ours, TLOG_NOTE_SIZE_MAX);
    fixture_make(FIXTURE_OURS_NOTE, &ours);
    char *theirs = fixture_read("checkpoint.note", &size);
    /* Theirs has one signature more, at the end. */
    assert_true(buffer_size(&ours) < size);
    assert_memory_equal(buffer_bytes(&ours).data, theirs, buffer_size(&ours));
    free(theirs);
    buffer_finish(&ours);
}

static void what_they_accepted_is_what_we_make(void **state)
{
    (void)state;
    static const struct {
        const char *name;
        enum fixture_file file;
    } files[] = {{"ours.txt", FIXTURE_OURS_TXT},
                 {"ours.note", FIXTURE_OURS_NOTE},
                 {"ours.tlog-proof", FIXTURE_OURS_PROOF}};
    for (size_t i = 0; i < sizeof(files) / sizeof(files[0]); i++) {
        struct buffer made;
        size_t size;
        char *kept = fixture_read(files[i].name, &size);
        buffer_init(&made, 1 << 20);
        fixture_make(files[i].file, &made);
        assert_int_equal(buffer_size(&made), size);
        assert_memory_equal(buffer_bytes(&made).data, kept, size);
        buffer_finish(&made);
        free(kept);
    }
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(tree_tiles_and_keys_agree),
        cmocka_unit_test(their_checkpoint_and_proof_are_believed),
        cmocka_unit_test(our_note_is_their_note),
        cmocka_unit_test(what_they_accepted_is_what_we_make),
    };
    return cmocka_run_group_tests(tests, log_setup, log_teardown);
}
