#include "controlplane/state.h"

#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "base/crypto/crypto.h"
#include "base/hardening/locked.h"
#include "controlplane/files/files.h"
#include "controlplane/state_blobs.h"
#include "controlplane/state_postgres.h"

static bool is_shared(const struct config_store *store)
{
    return store != NULL && store->kind == CONFIG_STORE_POSTGRES;
}

static enum err open_store(const char *directory, const struct config_store *store,
                           const struct store_sqlite_options *options, struct store **out,
                           struct err_text *why)
{
    if (is_shared(store)) {
        return state_open_postgres(store, options->content_master, out, why);
    }
    char *database = files_join(directory, "controlplane.db");
    enum err e = database == NULL ? ERR_NO_MEMORY : store_open_sqlite(database, options, out, why);
    free(database);
    return e;
}

/* ---- keys that are shared ----------------------------------------------------------------------
 */

/* Of SHA-256, with the label, so that the same key for two purposes is not seen. 63 bits are enough
 * to find a mistake. */
static enum err fingerprint(const char *path, const char *label, uint64_t *out,
                            struct err_text *why)
{
    struct crypto_sha256 hash;
    uint8_t digest[CRYPTO_SHA256_SIZE];
    struct buffer key;
    buffer_init(&key, FILES_READ_CAP);
    /* At once: a buffer that grows leaves copies of the secret behind. */
    enum err e =
        buffer_reserve(&key, FILES_READ_CAP) == NULL ? ERR_NO_MEMORY : files_read(path, &key, why);
    if (e == OK) {
        crypto_sha256_init(&hash);
        crypto_sha256_update(&hash, bytes_of_string("chaperone shared key\n"));
        crypto_sha256_update(&hash, bytes_of_string(label));
        crypto_sha256_update(&hash, bytes_of_string("\n"));
        crypto_sha256_update(&hash, buffer_bytes(&key));
        crypto_sha256_finish(&hash, digest);
        *out = 0;
        for (size_t i = 0; i < sizeof(*out); i++) {
            *out = *out << 8 | digest[i];
        }
        *out = (*out & INT64_MAX) == 0 ? 1 : *out & INT64_MAX;
        bytes_wipe(&hash, sizeof(hash));
    }
    buffer_wipe(&key);
    return e;
}

enum err state_check_key(const struct config_store *store, struct store *at, const char *path,
                         const char *label, struct err_text *why)
{
    char name[64];
    uint64_t known = 0, ours = 0;
    if (!is_shared(store)) {
        return OK;
    }
    enum err e = fingerprint(path, label, &ours, why);
    if (e != OK) {
        return e;
    }
    struct timespec now;
    (void)clock_gettime(CLOCK_REALTIME, &now);
    (void)snprintf(name, sizeof(name), "key %s", label);
    e = store_cursor_get(at, name, &known);
    if (e == ERR_NOT_FOUND) {
        e = store_cursor_set(at, name, ours, (int64_t)now.tv_sec * 1000000000);
        known = ours;
    }
    if (e != OK) {
        return err_set(why, e, "the store cannot say which %s is shared: %s", label, err_name(e));
    }
    return known == ours
               ? OK
               : err_set(why, ERR_INVALID,
                         "%.200s is not the %s of the control planes that use this store: "
                         "copy theirs (docs/high-availability.md)",
                         path, label);
}

static enum err check_keys(const char *directory, const struct config_store *config,
                           struct store *store, struct err_text *why)
{
    static const char *const names[] = {"content.key", "credentials.key", "masking.key"};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(names) / sizeof(names[0]); i++) {
        char *path = files_join(directory, names[i]);
        e = path == NULL ? ERR_NO_MEMORY : state_check_key(config, store, path, names[i], why);
        free(path);
    }
    return e;
}

/* ---- opening -----------------------------------------------------------------------------------
 */

static enum err open_blobs(const struct config_blobs *config, struct store *store,
                           struct err_text *why)
{
    struct blobs *blobs = NULL;
    enum err e = state_open_blobs(config, &blobs, why);
    if (e == OK && blobs != NULL) {
        store_blobs_use(store, blobs, (size_t)config->threshold);
    }
    return e;
}

static enum err load_masking_key(const char *path, uint8_t **out, struct err_text *why)
{
    *out = locked_alloc(SECRET_KEY_SIZE);
    if (*out == NULL) {
        return err_set(why, ERR_NO_MEMORY,
                       "no memory can be locked for %.200s: the limit is too low (ulimit -l)",
                       path);
    }
    return secret_key_load(path, "a masking key", *out, why);
}

static enum err open_all(const char *directory, const struct config_store *config,
                         const struct store_progress *progress, struct state *out,
                         struct err_text *why)
{
    char *key = files_join(directory, "credentials.key");
    char *masking = files_join(directory, "masking.key");
    char *content = files_join(directory, "content.key");
    uint8_t master[SECRET_KEY_SIZE] = {0};
    bool is_missing = key == NULL || masking == NULL || content == NULL;
    enum err e = is_missing ? ERR_NO_MEMORY : OK;
    if (e == OK) {
        e = secret_key_load(content, "a content key", master, why);
    }
    if (e == OK) {
        const struct store_sqlite_options options = {
            .content_master = bytes_of(master, sizeof(master)), .progress = progress};
        e = open_store(directory, config, &options, &out->store, why);
    }
    bytes_wipe(master, sizeof(master));
    if (e == OK && config != NULL) {
        e = open_blobs(&config->blobs, out->store, why);
    }
    if (e == OK) {
        e = vault_open(key, &out->vault, why);
    }
    if (e == OK) {
        e = load_masking_key(masking, &out->masking_key, why);
    }
    if (e == OK) {
        e = check_keys(directory, config, out->store, why);
    }
    free(key);
    free(masking);
    free(content);
    return e;
}

enum err state_open(const char *directory, const struct config_store *store,
                    const struct store_progress *progress, struct state *out, struct err_text *why)
{
    struct state state = {0};
    enum err e = files_make_directory(directory, 0700, why);
    if (e == OK) {
        e = open_all(directory, store, progress, &state, why);
    }
    if (e != OK) {
        state_close(&state);
        return e;
    }
    *out = state;
    return OK;
}

enum err state_check(const struct config_store *store, struct err_text *why)
{
    struct blobs *blobs = NULL;
    /* A directory is made only where it is used. */
    enum err e =
        store->blobs.kind == CONFIG_BLOBS_S3 ? state_open_blobs(&store->blobs, &blobs, why) : OK;
    blobs_destroy(blobs);
    return e == OK && is_shared(store) ? state_check_postgres(store, why) : e;
}

void state_close(struct state *state)
{
    vault_close(state->vault);
    store_close(state->store);
    locked_free(state->masking_key, SECRET_KEY_SIZE);
    *state = (struct state){0};
}
