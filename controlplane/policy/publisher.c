#include "controlplane/policy/publisher.h"

#include <inttypes.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>

enum {
    ARENA_BLOCK = 64 << 10,
    ARENA_CAP = 64 << 20,
    SIGNED_SIZE = 160,
    TRIES_MAX = 20, /* each loses only to another control plane that published */
};

static const char default_author[] = "default";

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
    enum err e = crypto_ed25519_load_or_make(key_path, &p->key, why);
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

static enum err store_new(struct publisher *p, struct shared *s,
                          const struct publisher_draft *draft)
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
                                        .source = draft->source,
                                        .created_by = draft->created_by,
                                        .message = draft->message,
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

/* With `publishing` held. `latest` has the revision 0 when there is none. */
static enum err publish(struct publisher *p, const struct store_policy *latest,
                        const struct publisher_draft *draft, bool always,
                        struct publisher_result *out)
{
    struct shared *s = make_shared(p, latest->revision, draft->document);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = OK;
    bool same = !always && latest->revision != 0 && is_same(p, latest, &s->publication);
    if (same) {
        memcpy(s->publication.signature, latest->signature.data, latest->signature.size);
    } else {
        s->publication.revision = latest->revision + 1;
        e = store_new(p, s, draft);
    }
    if (e != OK) {
        publication_release(&s->publication);
        return e;
    }
    out->revision = s->publication.revision;
    memcpy(out->hash, s->publication.hash, sizeof(out->hash));
    out->changed = !same;
    set_current(p, s);
    return OK;
}

static enum err read_latest(struct publisher *p, struct arena *arena, struct store_policy *out)
{
    *out = (struct store_policy){0};
    enum err e = store_policy_latest(p->store, arena, out);
    return e == ERR_NOT_FOUND ? OK : e;
}

static enum err fail(struct err_text *why, enum err e)
{
    return e == OK ? OK : err_set(why, e, "the policy cannot be published: %s", err_name(e));
}

/* With `publishing` held. `*out_beaten`: another control plane made this revision meanwhile. */
static enum err publish_once(struct publisher *p, const struct publisher_draft *draft,
                             struct arena *arena, struct publisher_result *out, bool *out_beaten,
                             struct err_text *why)
{
    struct store_policy latest;
    *out_beaten = false;
    arena_reset(arena);
    enum err e = read_latest(p, arena, &latest);
    if (e != OK) {
        return fail(why, e);
    }
    if (draft->expect != 0 && draft->expect != latest.revision) {
        return err_set(why, ERR_EXISTS,
                       "the newest revision is %" PRIu64 ", not %" PRIu64
                       ": somebody else published meanwhile",
                       latest.revision, draft->expect);
    }
    e = publish(p, &latest, draft, false, out);
    *out_beaten = e == ERR_EXISTS;
    return fail(why, e);
}

enum err publisher_publish(struct publisher *publisher, const struct publisher_draft *draft,
                           struct publisher_result *out, struct err_text *why)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    bool is_beaten = true;
    enum err e = OK;
    if (arena == NULL) {
        return fail(why, ERR_NO_MEMORY);
    }
    (void)pthread_mutex_lock(&publisher->publishing);
    for (int i = 0; is_beaten && i < TRIES_MAX; i++) {
        e = publish_once(publisher, draft, arena, out, &is_beaten, why);
    }
    (void)pthread_mutex_unlock(&publisher->publishing);
    arena_destroy(arena);
    return e;
}

/* --- other control planes ------------------------------------------------------------------------
 */

/* With `publishing` held. */
static enum err refresh(struct publisher *p, struct arena *arena, bool *out_changed)
{
    struct store_policy latest;
    enum err e = read_latest(p, arena, &latest);
    const struct publication *now = publisher_current(p);
    bool is_newer = e == OK && latest.revision > (now == NULL ? 0 : now->revision);
    publication_release(now);
    if (!is_newer) {
        return e;
    }
    struct shared *s = make_shared(p, latest.revision, latest.document);
    if (s == NULL) {
        return ERR_NO_MEMORY;
    }
    if (latest.signature.size != sizeof(s->publication.signature) ||
        latest.public_key.size != sizeof(s->publication.public_key)) {
        publication_release(&s->publication);
        return ERR_IO;
    }
    memcpy(s->publication.signature, latest.signature.data, latest.signature.size);
    memcpy(s->publication.public_key, latest.public_key.data, latest.public_key.size);
    set_current(p, s);
    *out_changed = true;
    return OK;
}

enum err publisher_refresh(struct publisher *publisher, bool *out_changed)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    bool changed = false;
    if (arena == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)pthread_mutex_lock(&publisher->publishing);
    enum err e = refresh(publisher, arena, &changed);
    (void)pthread_mutex_unlock(&publisher->publishing);
    arena_destroy(arena);
    if (e == OK) {
        *out_changed = changed;
    }
    return e;
}

/* --- the configuration's -------------------------------------------------------------------------
 */

/* The hash of the last document that the configuration gave; "" when it never did. */
static enum err find_configured(struct publisher *p, uint64_t newest, struct arena *arena,
                                char out_hash[PUBLISHER_HASH_SIZE])
{
    out_hash[0] = '\0';
    for (uint64_t revision = newest; revision > 0; revision--) {
        struct store_policy policy;
        arena_reset(arena);
        enum err e = store_policy_get(p->store, revision, arena, &policy);
        if (e == OK && strcmp(policy.created_by, PUBLISHER_CONFIGURATION) == 0) {
            (void)snprintf(out_hash, PUBLISHER_HASH_SIZE, "%s", policy.hash);
            return OK;
        }
        if (e != OK && e != ERR_NOT_FOUND) {
            return e;
        }
    }
    return OK;
}

static enum err was_given(struct publisher *p, uint64_t newest, struct bytes document, bool *out)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    uint8_t hash[CRYPTO_SHA256_SIZE];
    char hex[PUBLISHER_HASH_SIZE], before[PUBLISHER_HASH_SIZE];
    enum err e = arena == NULL ? ERR_NO_MEMORY : find_configured(p, newest, arena, before);
    crypto_sha256_of(document, hash);
    crypto_hex_encode(bytes_of(hash, sizeof(hash)), hex);
    *out = e == OK && strcmp(hex, before) == 0;
    arena_destroy(arena);
    return e;
}

/* With `publishing` held. */
static enum err configure(struct publisher *p, struct arena *arena, struct bytes document,
                          const char *source, bool is_default, struct publisher_result *out)
{
    struct publisher_draft draft = {
        .document = document,
        .source = source,
        .created_by = is_default ? default_author : PUBLISHER_CONFIGURATION,
    };
    struct store_policy latest;
    bool stays = false;
    enum err e = read_latest(p, arena, &latest);
    if (e == OK && latest.revision != 0) {
        stays = is_default;
        e = is_default ? OK : was_given(p, latest.revision, document, &stays);
    }
    if (e == OK && stays) { /* again, in case that the key is a new one */
        draft = (struct publisher_draft){.document = latest.document,
                                         .source = latest.source,
                                         .created_by = latest.created_by,
                                         .message = latest.message};
    }
    if (e == OK) {
        e = publish(p, &latest, &draft, !stays, out);
    }
    if (e == OK) {
        out->is_default = strcmp(draft.created_by, default_author) == 0;
    }
    return e;
}

enum err publisher_configure(struct publisher *publisher, struct bytes document, const char *source,
                             bool is_default, struct publisher_result *out, struct err_text *why)
{
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    if (arena == NULL) {
        return fail(why, ERR_NO_MEMORY);
    }
    (void)pthread_mutex_lock(&publisher->publishing);
    enum err e = ERR_EXISTS;
    for (int i = 0; e == ERR_EXISTS && i < TRIES_MAX; i++) { /* others start at the same time */
        arena_reset(arena);
        e = configure(publisher, arena, document, source, is_default, out);
    }
    (void)pthread_mutex_unlock(&publisher->publishing);
    arena_destroy(arena);
    return fail(why, e);
}
