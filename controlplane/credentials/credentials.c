#include "controlplane/credentials/credentials.h"

#include <stdlib.h>

#include "controlplane/files/files.h"

enum { SECRET_ARENA_BLOCK = 4 << 10, SECRET_ARENA_CAP = 1 << 20 };

static enum err read_variable(const char *name, struct buffer *out, struct err_text *why)
{
    const char *value = getenv(name);
    if (value == NULL) {
        return err_set(why, ERR_NOT_FOUND, "the environment variable %s is not set", name);
    }
    enum err e = buffer_append_string(out, value);
    return e == OK ? OK : err_set(why, e, "the environment variable %s is too long", name);
}

static enum err read_stored(const char *name, const struct vault *vault, struct store *store,
                            struct buffer *out, struct err_text *why)
{
    struct arena *arena = arena_create(SECRET_ARENA_BLOCK, SECRET_ARENA_CAP);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    struct store_secret secret;
    enum err e = store_secret_get(store, name, arena, &secret);
    if (e == ERR_NOT_FOUND) {
        e = err_set(why, e, "no secret \"%s\" is stored (chaperone-controlplane credential set %s)",
                    name, name);
    } else if (e != OK) {
        e = err_set(why, e, "the secret \"%s\" cannot be read: %s", name, err_name(e));
    } else {
        e = vault_unseal(vault, name, secret.sealed, out);
        if (e != OK) {
            e = err_set(why, e,
                        "the stored secret \"%s\" does not open with this key: it was changed, or "
                        "sealed with another one",
                        name);
        }
    }
    arena_destroy(arena);
    return e;
}

static enum err read_secret(const struct config_secret *secret, const struct vault *vault,
                            struct store *store, struct buffer *out, struct err_text *why)
{
    switch (secret->source) {
    case CONFIG_SECRET_NONE: return OK;
    case CONFIG_SECRET_ENV: return read_variable(secret->at, out, why);
    case CONFIG_SECRET_FILE: return files_read(secret->at, out, why);
    case CONFIG_SECRET_STORE: return read_stored(secret->at, vault, store, out, why);
    }
    return ERR_INTERNAL;
}

static void drop_line_end(struct buffer *b)
{
    if (b->end > b->start && b->data[b->end - 1] == '\n') {
        b->end--;
        if (b->end > b->start && b->data[b->end - 1] == '\r') {
            b->end--;
        }
    }
}

enum err credentials_read(const struct config_credential *credential, const struct vault *vault,
                          struct store *store, struct credentials_values *out, struct err_text *why)
{
    struct credentials_values values;
    /* Reserved at once: a buffer that grows leaves copies of the secret behind. */
    buffer_init(&values.password, VAULT_SECRET_CAP + 1);
    buffer_init(&values.certificate_pem, VAULT_SECRET_CAP + 1);
    buffer_init(&values.key_pem, VAULT_SECRET_CAP + 1);
    enum err e = buffer_reserve(&values.password, VAULT_SECRET_CAP + 1) == NULL ||
                         buffer_reserve(&values.key_pem, VAULT_SECRET_CAP + 1) == NULL
                     ? ERR_NO_MEMORY
                     : OK;
    if (e == OK) {
        e = read_secret(&credential->password, vault, store, &values.password, why);
    }
    if (e == OK) {
        e = read_secret(&credential->certificate, vault, store, &values.certificate_pem, why);
    }
    if (e == OK) {
        e = read_secret(&credential->key, vault, store, &values.key_pem, why);
    }
    if (e != OK) {
        credentials_finish(&values);
        return e;
    }
    drop_line_end(&values.password);
    *out = values;
    return OK;
}

void credentials_finish(struct credentials_values *values)
{
    buffer_wipe(&values->password);
    buffer_wipe(&values->certificate_pem);
    buffer_wipe(&values->key_pem);
}

enum err credentials_put(const struct vault *vault, struct store *store, const char *name,
                         struct bytes secret, int64_t now_ns, struct err_text *why)
{
    struct buffer sealed;
    buffer_init(&sealed, VAULT_SECRET_CAP + VAULT_OVERHEAD);
    enum err e = vault_seal(vault, name, secret, &sealed);
    if (e == OK) {
        e = store_secret_put(store, name, buffer_bytes(&sealed), now_ns);
    }
    buffer_finish(&sealed);
    return e == OK ? OK
                   : err_set(why, e, "the secret \"%s\" cannot be stored: %s", name, err_name(e));
}
