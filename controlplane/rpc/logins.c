#include "controlplane/rpc/logins.h"

#include <pthread.h>
#include <stdlib.h>
#include <string.h>

#include "base/crypto/crypto.h"

enum { WAYS = 8, SETS = LOGINS_REMEMBERED / WAYS };

struct seen {
    uint8_t hash[CRYPTO_SHA256_SIZE];
    uint64_t used; /* the turn it was used last; 0: empty */
};

struct logins {
    pthread_mutex_t mutex; /* guards the rest */
    uint64_t turn;
    struct seen sets[SETS][WAYS];
};

struct logins *logins_create(void)
{
    struct logins *l = calloc(1, sizeof(*l));
    if (l != NULL) {
        (void)pthread_mutex_init(&l->mutex, NULL);
    }
    return l;
}

void logins_destroy(struct logins *logins)
{
    if (logins != NULL) {
        (void)pthread_mutex_destroy(&logins->mutex);
        free(logins);
    }
}

static struct seen *set_of(struct logins *l, const uint8_t *hash)
{
    return l->sets[(hash[0] << 8 | hash[1]) % SETS];
}

/* The one with this hash; else the one that was used least lately. */
static struct seen *find(struct logins *l, const uint8_t *hash, bool *out_is_known)
{
    struct seen *set = set_of(l, hash), *oldest = &set[0];
    for (size_t i = 0; i < WAYS; i++) {
        if (set[i].used != 0 && memcmp(set[i].hash, hash, sizeof(set[i].hash)) == 0) {
            *out_is_known = true;
            return &set[i];
        }
        oldest = set[i].used < oldest->used ? &set[i] : oldest;
    }
    *out_is_known = false;
    return oldest;
}

bool logins_is_first(struct logins *logins, struct bytes token)
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    bool is_known = false;
    crypto_sha256_of(token, hash);
    (void)pthread_mutex_lock(&logins->mutex);
    struct seen *s = find(logins, hash, &is_known);
    memcpy(s->hash, hash, sizeof(s->hash));
    s->used = ++logins->turn;
    (void)pthread_mutex_unlock(&logins->mutex);
    return !is_known;
}

void logins_forget(struct logins *logins, struct bytes token)
{
    uint8_t hash[CRYPTO_SHA256_SIZE];
    bool is_known = false;
    crypto_sha256_of(token, hash);
    (void)pthread_mutex_lock(&logins->mutex);
    struct seen *s = find(logins, hash, &is_known);
    s->used = is_known ? 0 : s->used;
    (void)pthread_mutex_unlock(&logins->mutex);
}
