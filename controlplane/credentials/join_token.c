#include "controlplane/credentials/join_token.h"

#include <stdio.h>

#include "base/crypto/crypto.h"

static const char prefix[] = "chaperone-join-";
enum { RANDOM_SIZE = 32, TOKEN_LENGTH = sizeof(prefix) - 1 + (size_t)2 * RANDOM_SIZE };
_Static_assert((int)TOKEN_LENGTH < (int)JOIN_TOKEN_SIZE, "a token and its terminator fit");

enum err join_token_create(struct store *store, const char *name, const char *created_by,
                           int64_t lifetime_ns, int64_t now_ns, char out[JOIN_TOKEN_SIZE],
                           int64_t *out_expires_ns, struct err_text *why)
{
    if (lifetime_ns < 1000000000 || lifetime_ns > JOIN_TOKEN_LIFETIME_MAX_NS) {
        return err_set(why, ERR_INVALID,
                       "a join token lives between 1 second and 24 hours, not %lld seconds",
                       (long long)(lifetime_ns / 1000000000));
    }
    if (strlen(name) > JOIN_TOKEN_NAME_MAX) {
        return err_set(why, ERR_INVALID, "a join token's name has at most %d bytes",
                       JOIN_TOKEN_NAME_MAX);
    }
    uint8_t random[RANDOM_SIZE];
    char token[JOIN_TOKEN_SIZE];
    const struct crypto_random source = crypto_random_system();
    enum err e = crypto_random_fill(&source, random, sizeof(random));
    if (e != OK) {
        return err_set(why, e, "the system gives no randomness for a join token");
    }
    memcpy(token, prefix, sizeof(prefix) - 1);
    crypto_hex_encode(bytes_of(random, sizeof(random)), token + sizeof(prefix) - 1);
    struct store_join_token stored = {.name = name,
                                      .created_by = created_by,
                                      .created_ns = now_ns,
                                      .expires_ns = now_ns + lifetime_ns};
    crypto_sha256_of(bytes_of_string(token), stored.hash);
    e = store_join_token_add(store, &stored);
    if (e == OK) {
        memcpy(out, token, sizeof(token));
        *out_expires_ns = stored.expires_ns;
    } else {
        e = err_set(why, e, "the join token cannot be stored: %s", err_name(e));
    }
    bytes_wipe(random, sizeof(random));
    bytes_wipe(token, sizeof(token));
    return e;
}

enum err join_token_use(struct store *store, struct bytes token, int64_t now_ns,
                        struct join_token_origin *out, struct err_text *why)
{
    uint8_t hash[STORE_HASH_SIZE];
    struct store_join_token found;
    struct arena *arena = arena_create(4096, 1 << 20);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    crypto_sha256_of(token, hash);
    enum err e = token.size == TOKEN_LENGTH
                     ? store_join_token_use(store, hash, now_ns, arena, &found)
                     : ERR_NOT_FOUND;
    switch (e) {
    case OK:
        (void)snprintf(out->name, sizeof(out->name), "%s", found.name);
        (void)snprintf(out->created_by, sizeof(out->created_by), "%s", found.created_by);
        break;
    case ERR_NOT_FOUND: e = err_set(why, ERR_DENIED, "the join token is unknown"); break;
    case ERR_EXISTS: e = err_set(why, ERR_DENIED, "the join token was used before"); break;
    case ERR_TIMEOUT: e = err_set(why, ERR_DENIED, "the join token has expired"); break;
    default: e = err_set(why, e, "the join token cannot be checked: %s", err_name(e)); break;
    }
    arena_destroy(arena);
    return e;
}
