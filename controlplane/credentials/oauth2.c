#include "controlplane/credentials/oauth2.h"

#include <pthread.h>
#include <stdlib.h>

#include "base/crypto/crypto.h"

static const int64_t second_ns = 1000000000;
/* Of a token whose server does not say how long it lasts: asked for anew often enough. */
static const int64_t unknown_lifetime_ns = INT64_C(60) * 1000000000;
static const int64_t margin_max_ns = INT64_C(30) * 1000000000;
enum { MARGIN_SHARE = 10 };

struct client {
    uint8_t key[CRYPTO_SHA256_SIZE]; /* of all that is sent */
    struct client *next;
    bool is_fetching;
    struct oauth2_token token; /* empty: none */
    bool says_its_end;
    int64_t expires_ns;   /* wall */
    int64_t refresh_ns;   /* wall: from then on the next one is fetched */
    int64_t failed_until; /* monotonic; 0: it did not */
    enum err failure;
    struct err_text failure_text;
    int64_t used_ns; /* monotonic */
};

struct oauth2 {
    struct clock clock;
    pthread_mutex_t mutex;  /* guards what follows */
    pthread_cond_t fetched; /* one of the clients has an answer */
    struct client *clients;
    size_t count, waiting;
};

enum err oauth2_create(const struct clock *clock, struct oauth2 **out)
{
    struct oauth2 *o = calloc(1, sizeof(*o));
    if (o == NULL) {
        return ERR_NO_MEMORY;
    }
    o->clock = *clock;
    (void)pthread_mutex_init(&o->mutex, NULL);
    (void)pthread_cond_init(&o->fetched, NULL);
    *out = o;
    return OK;
}

static void free_client(struct client *c)
{
    oauth2_token_finish(&c->token);
    bytes_wipe(c->key, sizeof(c->key));
    free(c);
}

void oauth2_destroy(struct oauth2 *o)
{
    if (o == NULL) {
        return;
    }
    while (o->clients != NULL) {
        struct client *c = o->clients;
        o->clients = c->next;
        free_client(c);
    }
    (void)pthread_cond_destroy(&o->fetched);
    (void)pthread_mutex_destroy(&o->mutex);
    free(o);
}

/* --- clients ----------------------------------------------------------------------------------
 */

static void hash_part(struct crypto_sha256 *hash, struct bytes part)
{
    uint64_t size = part.size; /* in front: parts do not run into each other */
    crypto_sha256_update(hash, bytes_of(&size, sizeof(size)));
    crypto_sha256_update(hash, part);
}

static void make_key(const struct config_oauth2 *client, struct bytes secret, uint8_t *out)
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    hash_part(&hash, bytes_of_string(client->token_url));
    hash_part(&hash, bytes_of_string(client->client_id));
    hash_part(&hash, bytes_of_string(client->scope));
    hash_part(&hash, bytes_of_string(client->audience));
    hash_part(&hash, bytes_of_string(client->ca_file));
    hash_part(&hash, bytes_of_string(client->secret_in_body ? "post" : "basic"));
    hash_part(&hash, secret);
    crypto_sha256_finish(&hash, out);
}

/* Makes room for one more. */
static void forget_one(struct oauth2 *o)
{
    struct client **oldest = NULL;
    for (struct client **at = &o->clients; *at != NULL; at = &(*at)->next) {
        if (!(*at)->is_fetching && (oldest == NULL || (*at)->used_ns < (*oldest)->used_ns)) {
            oldest = at;
        }
    }
    if (oldest != NULL) {
        struct client *c = *oldest;
        *oldest = c->next;
        o->count--;
        free_client(c);
    }
}

/* NULL: no memory. */
static struct client *find(struct oauth2 *o, const uint8_t *key)
{
    for (struct client *c = o->clients; c != NULL; c = c->next) {
        if (memcmp(c->key, key, sizeof(c->key)) == 0) {
            return c;
        }
    }
    struct client *c = calloc(1, sizeof(*c));
    if (c == NULL) {
        return NULL;
    }
    if (o->count >= OAUTH2_CLIENTS_MAX) {
        forget_one(o);
    }
    memcpy(c->key, key, sizeof(c->key));
    c->next = o->clients;
    o->clients = c;
    o->count++;
    return c;
}

/* --- one token --------------------------------------------------------------------------------
 */

static bool has_token(const struct oauth2 *o, const struct client *c)
{
    return buffer_size(&c->token.text) > 0 && clock_wall(&o->clock) < c->expires_ns;
}

static bool is_fresh(const struct oauth2 *o, const struct client *c)
{
    return has_token(o, c) && clock_wall(&o->clock) < c->refresh_ns;
}

static void keep(struct client *c, struct oauth2_token *token, int64_t asked_ns)
{
    oauth2_token_finish(&c->token);
    c->token = *token;
    c->says_its_end = token->lifetime_s > 0;
    int64_t lifetime = c->says_its_end ? token->lifetime_s * second_ns : unknown_lifetime_ns;
    int64_t margin =
        lifetime / MARGIN_SHARE < margin_max_ns ? lifetime / MARGIN_SHARE : margin_max_ns;
    /* From when it was asked for: the server counted from some later moment. */
    c->expires_ns = asked_ns + lifetime;
    c->refresh_ns = c->expires_ns - margin;
    c->failed_until = 0;
}

/* Called with the mutex, which is let go meanwhile; `c` stays because it is_fetching. */
static void fetch(struct oauth2 *o, struct client *c, const struct config_oauth2 *client,
                  struct bytes secret)
{
    struct oauth2_token token = {0};
    struct err_text why = {0};
    int64_t asked_ns = clock_wall(&o->clock);
    c->is_fetching = true;
    (void)pthread_mutex_unlock(&o->mutex);
    enum err e = oauth2_request_token(client, secret, &token, &why);
    (void)pthread_mutex_lock(&o->mutex);
    c->is_fetching = false;
    if (e == OK) {
        keep(c, &token, asked_ns);
    } else {
        c->failure = e;
        c->failure_text = why;
        c->failed_until =
            clock_monotonic(&o->clock) + (int64_t)OAUTH2_FAILURE_HOLDS_MS * (second_ns / 1000);
    }
    (void)pthread_cond_broadcast(&o->fetched);
}

static bool has_failed(const struct oauth2 *o, const struct client *c)
{
    return c->failed_until != 0 && clock_monotonic(&o->clock) < c->failed_until;
}

/* Until the client has a token or has failed. */
static enum err await(struct oauth2 *o, const uint8_t *key, const struct config_oauth2 *client,
                      struct bytes secret, struct client **out, struct err_text *why)
{
    for (;;) {
        /* Anew after each wait: it may have been forgotten. */
        struct client *c = find(o, key);
        if (c == NULL) {
            return err_set(why, ERR_NO_MEMORY, "memory is short");
        }
        c->used_ns = clock_monotonic(&o->clock);
        *out = c;
        bool may_use = has_token(o, c) && (c->is_fetching || has_failed(o, c));
        if (is_fresh(o, c) || may_use) {
            return OK;
        }
        if (!c->is_fetching && has_failed(o, c)) {
            *why = c->failure_text;
            return c->failure;
        }
        if (o->waiting >= OAUTH2_WAITING_MAX) {
            return err_set(why, ERR_UNAVAILABLE, "too many wait for tokens already");
        }
        o->waiting++;
        bool is_ours = !c->is_fetching;
        if (is_ours) {
            fetch(o, c, client, secret);
        } else {
            (void)pthread_cond_wait(&o->fetched, &o->mutex); /* the fetch has a timeout */
        }
        o->waiting--;
        if (is_ours && !has_token(o, c) && !has_failed(o, c)) {
            return err_set(why, ERR_UNAVAILABLE, "the token had ended when it came");
        }
    }
}

enum err oauth2_get(struct oauth2 *o, const struct config_oauth2 *client, struct bytes secret,
                    struct buffer *out, int64_t *out_expires_ns, struct err_text *why)
{
    struct err_text unused = {0};
    uint8_t key[CRYPTO_SHA256_SIZE];
    struct client *c = NULL;
    make_key(client, secret, key);
    (void)pthread_mutex_lock(&o->mutex);
    enum err e = await(o, key, client, secret, &c, why == NULL ? &unused : why);
    if (e == OK) {
        e = buffer_append(out, buffer_bytes(&c->token.text));
    }
    if (e == OK) {
        *out_expires_ns = c->says_its_end ? c->expires_ns : 0;
    }
    (void)pthread_mutex_unlock(&o->mutex);
    bytes_wipe(key, sizeof(key));
    return e;
}
