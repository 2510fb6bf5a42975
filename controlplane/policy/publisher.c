#include "controlplane/policy/publisher.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum { ARENA_BLOCK = 64 << 10, ARENA_CAP = 64 << 20, SIGNED_SIZE = 160 };

struct shared {
    struct publication publication; /* the first member: what callers hold */
    atomic_int references;
    uint8_t *document; /* owned */
};

struct publisher {
    struct store *store;
    struct clock clock;
    struct crypto_ed25519 *key;
    uint8_t public_key[CRYPTO_ED25519_DER_SIZE];
    pthread_mutex_t publishing; /* one at a time: a revision is read, then written */
    pthread_mutex_t mutex;      /* guards `current` */
    struct shared *current;
};

void publication_release(const struct publication *publication)
{
    struct shared *s = (struct shared *)(uintptr_t)publication;
    if (s != NULL && atomic_fetch_sub(&s->references, 1) == 1) {
        free(s->document);
        free(s);
    }
}

const struct publication *publisher_current(struct publisher *publisher)
{
    (void)pthread_mutex_lock(&publisher->mutex);
    struct shared *s = publisher->current;
    if (s != NULL) {
        atomic_fetch_add(&s->references, 1);
    }
    (void)pthread_mutex_unlock(&publisher->mutex);
    return s == NULL ? NULL : &s->publication;
}

static enum err load_key(const char *path, struct crypto_ed25519 **out, struct err_text *why)
{
    enum err e = crypto_ed25519_load(path, out, why);
    if (e != ERR_NOT_FOUND) {
        return e;
    }
    struct crypto_ed25519 *key = NULL;
    e = crypto_ed25519_generate(&key);
    if (e == OK) {
        e = crypto_ed25519_store(key, path, why);
    }
    if (e != OK) {
        crypto_ed25519_destroy(key);
        return e;
    }
    *out = key;
    return OK;
}

enum err publisher_create(struct store *store, const char *key_path, const struct clock *clock,
                          struct publisher **out, struct err_text *why)
{
    struct publisher *p = calloc(1, sizeof(*p));
    uint8_t public_key[CRYPTO_ED25519_PUBLIC_SIZE];
    if (p == NULL) {
        return ERR_NO_MEMORY;
    }
    p->store = store;
    p->clock = *clock;
    (void)pthread_mutex_init(&p->publishing, NULL);
    (void)pthread_mutex_init(&p->mutex, NULL);
    enum err e = load_key(key_path, &p->key, why);
    if (e == OK) {
        crypto_ed25519_public(p->key, public_key);
        e = crypto_ed25519_public_to_der(public_key, p->public_key);
    }
    if (e != OK) {
        publisher_destroy(p);
        return e;
    }
    *out = p;
    return OK;
}

void publisher_destroy(struct publisher *publisher)
{
    if (publisher != NULL) {
        publication_release(publisher->current == NULL ? NULL : &publisher->current->publication);
        crypto_ed25519_destroy(publisher->key);
        (void)pthread_mutex_destroy(&publisher->publishing);
        (void)pthread_mutex_destroy(&publisher->mutex);
        free(publisher);
    }
}

static struct shared *make_shared(struct publisher *p, uint64_t revision, struct bytes document)
{
    struct shared *s = calloc(1, sizeof(*s));
    uint8_t *copy = malloc(document.size + 1);
    if (s == NULL || copy == NULL) {
        free(s);
        free(copy);
        return NULL;
    }
    uint8_t hash[CRYPTO_SHA256_SIZE];
    memcpy(copy, document.data, document.size);
    atomic_init(&s->references, 1);
    s->document = copy;
    s->publication.revision = revision;
    s->publication.document = bytes_of(copy, document.size);
    crypto_sha256_of(document, hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), s->publication.hash);
    memcpy(s->publication.public_key, p->public_key, sizeof(p->public_key));
    return s;
}

static enum err sign(const struct publisher *p, struct publication *publication)
{
    char text[SIGNED_SIZE];
    int n = snprintf(text, sizeof(text), "chaperone policy v1\n%" PRIu64 "\n%s",
                     publication->revision, publication->hash);
    return crypto_ed25519_sign(p->key, bytes_of(text, (size_t)n), publication->signature);
}

/* Whether the newest stored policy is this very document, signed with our key. */
static bool is_same(const struct publisher *p, const struct store_policy *latest,
                    const struct publication *publication)
{
    return strcmp(latest->hash, publication->hash) == 0 &&
           bytes_equal(latest->public_key, bytes_of(p->public_key, sizeof(p->public_key))) &&
           latest->signature.size == sizeof(publication->signature);
}

static enum err store_new(struct publisher *p, struct shared *s, const char *source,
                          const char *created_by)
{
    enum err e = sign(p, &s->publication);
    if (e != OK) {
        return e;
    }
    const struct publication *n = &s->publication;
    const struct store_policy policy = {.revision = n->revision,
                                        .hash = n->hash,
                                        .document = n->document,
                                        .signature = bytes_of(n->signature, sizeof(n->signature)),
                                        .public_key =
                                            bytes_of(n->public_key, sizeof(n->public_key)),
                                        .source = source,
                                        .created_by = created_by,
                                        .created_ns = clock_wall(&p->clock)};
    return store_policy_add(p->store, &policy);
}

static void set_current(struct publisher *p, struct shared *s)
{
    (void)pthread_mutex_lock(&p->mutex);
    struct shared *before = p->current;
    p->current = s;
    (void)pthread_mutex_unlock(&p->mutex);
    publication_release(before == NULL ? NULL : &before->publication);
}

/* With `publishing` held. */
static enum err publish(struct publisher *p, struct arena *arena, struct bytes document,
                        const char *source, const char *created_by, bool *out_changed)
{
    struct store_policy latest = {0};
    enum err e = store_policy_latest(p->store, arena, &latest);
    if (e != OK && e != ERR_NOT_FOUND) {
        return e;
    }
    struct shared *s = make_shared(p, latest.revision, document);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    bool same = e == OK && is_same(p, &latest, &s->publication);
    if (same) {
        memcpy(s->publication.signature, latest.signature.data, latest.signature.size);
        e = OK;
    } else {
        s->publication.revision = latest.revision + 1;
        e = store_new(p, s, source, created_by);
    }
    if (e != OK) {
        publication_release(&s->publication);
        return e;
    }
    set_current(p, s);
    *out_changed = !same;
    return OK;
}

enum err publisher_publish(struct publisher *publisher, struct bytes document, const char *source,
                           const char *created_by, bool *out_changed, struct err_text *why)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_lock(&publisher->publishing);
    enum err e = publish(publisher, arena, document, source, created_by, out_changed);
    (void)pthread_mutex_unlock(&publisher->publishing);
    arena_destroy(arena);
    return e == OK ? OK : err_set(why, e, "the policy cannot be published: %s", err_name(e));
}
