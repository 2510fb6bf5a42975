#include "base/tlog/fixture.h"

#include <stdio.h>
#include <stdlib.h>

/* A fixture that does not come about ends the test. */
#define REQUIRE(condition)                                                                         \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            (void)fprintf(stderr, "%s:%d: %s\n", __FILE__, __LINE__, #condition);                  \
            abort();                                                                               \
        }                                                                                          \
    } while (0)

struct bytes fixture_record(uint64_t n, char room[32])
{
    int size = snprintf(room, 32, "record %llu", (unsigned long long)n);
    return bytes_of(room, (size_t)size);
}

struct crypto_ed25519 *fixture_key(const char *name)
{
    /* PKCS#8 of an Ed25519 key (RFC 8410 section 7): this and the seed. */
    uint8_t der[48] = {0x30, 0x2e, 0x02, 0x01, 0x00, 0x30, 0x05, 0x06,
                       0x03, 0x2b, 0x65, 0x70, 0x04, 0x22, 0x04, 0x20};
    char text[128];
    int size = snprintf(text, sizeof(text), "test key of %s", name);
    crypto_sha256_of(bytes_of(text, (size_t)size), der + 16);
    struct buffer pem;
    buffer_init(&pem, 1024);
    REQUIRE(buffer_append_string(&pem, "-----BEGIN PRIVATE KEY-----\n") == OK);
    REQUIRE(crypto_base64_encode(bytes_of(der, sizeof(der)), &pem) == OK);
    REQUIRE(buffer_append_string(&pem, "\n-----END PRIVATE KEY-----\n") == OK);
    struct crypto_ed25519 *key = NULL;
    REQUIRE(crypto_ed25519_from_pem(buffer_bytes(&pem), &key, NULL) == OK);
    buffer_finish(&pem);
    return key;
}

void fixture_verifier(const char *name, enum tlog_key_type type, struct tlog_verifier *out)
{
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
    struct crypto_ed25519 *key = fixture_key(name);
    crypto_ed25519_public(key, public_key);
    REQUIRE(tlog_verifier_init(bytes_of_string(name), type, public_key, out) == OK);
    crypto_ed25519_destroy(key);
}

void fixture_store_finish(struct fixture_store *store)
{
    for (size_t i = 0; i < store->count; i++) {
        free(store->data[i]);
    }
    store->count = 0;
}

static enum err store_store(void *context, const struct tlog_tile *tile, struct bytes data)
{
    struct fixture_store *store = context;
    REQUIRE(data.size == (size_t)tile->width * TLOG_HASH_SIZE);
    REQUIRE(store->count < FIXTURE_TILES_MAX);
    if (store->fail_at > 0 && --store->fail_at == 0) {
        return ERR_FULL;
    }
    uint8_t *copy = malloc(data.size);
    REQUIRE(copy != NULL);
    memcpy(copy, data.data, data.size);
    store->tiles[store->count] = *tile;
    store->data[store->count++] = copy;
    return OK;
}

struct tlog_tile_sink fixture_store_sink(struct fixture_store *store)
{
    return (struct tlog_tile_sink){.store = store_store, .context = store};
}

static enum err store_load(void *context, const struct tlog_tile *tile, uint8_t *out)
{
    struct fixture_store *store = context;
    size_t best = store->count;
    for (size_t i = 0; i < store->count; i++) {
        const struct tlog_tile *t = &store->tiles[i];
        if (t->level == tile->level && t->index == tile->index && t->width >= tile->width &&
            (best == store->count || t->width < store->tiles[best].width)) {
            best = i;
        }
    }
    if (best == store->count) {
        return ERR_NOT_FOUND;
    }
    memcpy(out, store->data[best], (size_t)tile->width * TLOG_HASH_SIZE);
    return OK;
}

struct tlog_tile_source fixture_store_source(struct fixture_store *store)
{
    return (struct tlog_tile_source){.load = store_load, .context = store};
}

void fixture_grow(struct fixture_store *store, uint64_t from, uint64_t size)
{
    struct tlog_grow *grow = NULL;
    char room[32];
    struct tlog_tile_sink sink = fixture_store_sink(store);
    REQUIRE(tlog_grow_create(fixture_store_source(store), from, &grow) == OK);
    for (uint64_t i = from; i < size; i++) {
        struct tlog_hash leaf;
        tlog_hash_leaf(fixture_record(i, room), &leaf);
        REQUIRE(tlog_grow_append(grow, &leaf, 1, sink) == OK);
    }
    REQUIRE(tlog_grow_flush(grow, sink) == OK);
    tlog_grow_destroy(grow);
}

static void put_proof(const char *what, uint64_t size, uint64_t number,
                      const struct tlog_proof *proof, struct buffer *out)
{
    REQUIRE(buffer_append_format(out, "%s %llu %llu", what, (unsigned long long)size,
                                 (unsigned long long)number) == OK);
    for (size_t i = 0; i < proof->count; i++) {
        REQUIRE(buffer_append_string(out, " ") == OK);
        REQUIRE(crypto_base64_encode(bytes_of(proof->hashes[i].bytes, TLOG_HASH_SIZE), out) == OK);
    }
    REQUIRE(buffer_append_string(out, "\n") == OK);
}

static void make_lines(const struct tlog_reader *reader, struct buffer *out)
{
    static const uint64_t sizes[] = {1, 2, 7, 8, 9, 21, 256, 300, 65536, 66049, FIXTURE_SIZE};
    struct tlog_proof proof;
    for (size_t i = 0; i < sizeof(sizes) / sizeof(sizes[0]); i++) {
        uint64_t size = sizes[i], step = size / 13 + 1;
        for (uint64_t n = 0; n < size; n += step) {
            REQUIRE(tlog_tree_prove_inclusion(reader, size, n, &proof) == OK);
            put_proof("inclusion", size, n, &proof, out);
            REQUIRE(tlog_tree_prove_consistency(reader, size, n + 1, &proof) == OK);
            put_proof("consistency", size, n + 1, &proof, out);
        }
    }
}

static void make_note(const struct tlog_reader *reader, uint64_t size, struct buffer *out)
{
    static const struct {
        const char *name;
        enum tlog_key_type type;
    } parties[] = {{FIXTURE_ORIGIN, TLOG_KEY_ED25519},
                   {"next." FIXTURE_ORIGIN, TLOG_KEY_ED25519},
                   {"w1.example", TLOG_KEY_COSIGNATURE},
                   {"w2.example", TLOG_KEY_COSIGNATURE}};
    struct tlog_signer signers[4];
    struct crypto_ed25519 *keys[4];
    struct tlog_checkpoint checkpoint = {.origin = bytes_of_string(FIXTURE_ORIGIN), .size = size};
    REQUIRE(tlog_tree_root(reader, size, &checkpoint.root) == OK);
    for (size_t i = 0; i < 4; i++) {
        keys[i] = fixture_key(parties[i].name);
        REQUIRE(tlog_signer_init(bytes_of_string(parties[i].name), parties[i].type, keys[i],
                                 &signers[i]) == OK);
    }
    struct buffer text;
    buffer_init(&text, 4096);
    REQUIRE(tlog_checkpoint_format(&checkpoint, &text) == OK);
    REQUIRE(tlog_note_sign(buffer_bytes(&text), signers, 4, FIXTURE_TIME, out) == OK);
    for (size_t i = 0; i < 4; i++) {
        crypto_ed25519_destroy(keys[i]);
    }
    buffer_finish(&text);
}

static void make_proof(const struct tlog_reader *reader, struct buffer *out)
{
    struct buffer note;
    buffer_init(&note, TLOG_NOTE_SIZE_MAX);
    make_note(reader, 66049, &note);
    struct tlog_proof_file file = {.index = 65000, .note = buffer_bytes(&note)};
    REQUIRE(tlog_tree_prove_inclusion(reader, 66049, file.index, &file.proof) == OK);
    REQUIRE(tlog_proof_file_format(&file, bytes_of_string("said beside"), out) == OK);
    buffer_finish(&note);
}

void fixture_make(enum fixture_file file, struct buffer *out)
{
    struct fixture_store *store = calloc(1, sizeof(*store));
    struct tlog_tile_reader *tiles = NULL;
    REQUIRE(store != NULL);
    fixture_grow(store, 0, FIXTURE_SIZE);
    REQUIRE(tlog_tile_reader_create(fixture_store_source(store), FIXTURE_SIZE, &tiles) == OK);
    struct tlog_reader reader = tlog_tile_reader_as_reader(tiles);
    if (file == FIXTURE_OURS_TXT) {
        make_lines(&reader, out);
    } else if (file == FIXTURE_OURS_NOTE) {
        make_note(&reader, FIXTURE_SIZE, out);
    } else {
        make_proof(&reader, out);
    }
    tlog_tile_reader_destroy(tiles);
    fixture_store_finish(store);
    free(store);
}

char *fixture_read(const char *name, size_t *out_size)
{
    char path[128];
    (void)snprintf(path, sizeof(path), "base/tlog/testdata/%s", name);
    FILE *f = fopen(path, "rb");
    REQUIRE(f != NULL);
    enum { ROOM = 1 << 20 };
    char *text = malloc(ROOM);
    REQUIRE(text != NULL);
    *out_size = fread(text, 1, ROOM - 1, f);
    REQUIRE(*out_size > 0 && *out_size < ROOM - 1);
    text[*out_size] = '\0';
    (void)fclose(f);
    return text;
}
