#include "sidecar/target_tls.h"

#include <sys/stat.h>

static void add(struct crypto_sha256 *hash, const void *data, size_t size)
{
    crypto_sha256_update(hash, bytes_of(&size, sizeof(size)));
    crypto_sha256_update(hash, bytes_of(data, size));
}

/* The system's roots may be other ones since. */
static void add_system_roots(struct crypto_sha256 *hash)
{
    struct stat file;
    if (stat(tls_system_roots, &file) == 0) {
        add(hash, &file.st_ino, sizeof(file.st_ino));
        add(hash, &file.st_size, sizeof(file.st_size));
        add(hash, &file.st_mtim, sizeof(file.st_mtim));
    }
}

static void make_of(const struct tls_client_options *o, uint8_t out[CRYPTO_SHA256_SIZE])
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    add(&hash, &o->verify, sizeof(o->verify));
    add(&hash, &o->only_tls13, sizeof(o->only_tls13));
    add(&hash, o->alpn == NULL ? "" : o->alpn, o->alpn == NULL ? 0 : strlen(o->alpn));
    add(&hash, o->ca_pem.data, o->ca_pem.size);
    if (o->ca_pem.size == 0 && o->verify != TLS_CHECK_NOTHING) {
        add_system_roots(&hash);
    }
    crypto_sha256_finish(&hash, out);
}

enum err target_tls_get(struct target_tls *t, const struct tls_client_options *options,
                        struct tls_context **out, struct err_text *why)
{
    if (options->certificate_pem.size > 0 || options->key_pem.size > 0) {
        return tls_client_create(options, out, why);
    }
    uint8_t made_of[CRYPTO_SHA256_SIZE];
    make_of(options, made_of);
    for (size_t i = 0; i < TARGET_TLS_KEPT; i++) {
        if (t->kept[i].context != NULL &&
            memcmp(t->kept[i].made_of, made_of, sizeof(made_of)) == 0) {
            *out = tls_context_retain(t->kept[i].context);
            return OK;
        }
    }
    enum err e = tls_client_create(options, out, why);
    if (e == OK) {
        size_t place = t->next++ % TARGET_TLS_KEPT;
        tls_context_destroy(t->kept[place].context);
        t->kept[place].context = tls_context_retain(*out);
        memcpy(t->kept[place].made_of, made_of, sizeof(made_of));
    }
    return e;
}

void target_tls_forget(struct target_tls *t)
{
    for (size_t i = 0; i < TARGET_TLS_KEPT; i++) {
        tls_context_destroy(t->kept[i].context);
    }
    *t = (struct target_tls){0};
}
