#include "controlplane/rpc/refusals.h"

#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static const int64_t window_ns = INT64_C(60000000000);

enum { POOLS = 2 /* strangers, and who was identified */ };

struct peer {
    bool is_used;
    int64_t since_ns; /* of the window, which begins with a record */
    struct refusals_count count;
};

struct refusals {
    pthread_mutex_t mutex;                        /* guards the rest */
    struct peer peers[POOLS][REFUSALS_PEERS + 1]; /* the last one is shared */
};

struct refusals *refusals_create(void)
{
    struct refusals *r = calloc(1, sizeof(*r));
    if (r != NULL) {
        (void)pthread_mutex_init(&r->mutex, NULL);
    }
    return r;
}

void refusals_destroy(struct refusals *refusals)
{
    if (refusals != NULL) {
        (void)pthread_mutex_destroy(&refusals->mutex);
        free(refusals);
    }
}

/* "ipv4:10.0.0.7:5312", "ipv6:%5B::1%5D:5312", "unix:/run/x": who comes again has another port. */
static void host_of(const char *from, char out[REFUSALS_NAME_SIZE])
{
    const char *colon = strrchr(from, ':');
    bool has_port = strncmp(from, "ip", 2) == 0 && colon != NULL;
    (void)snprintf(out, REFUSALS_NAME_SIZE, "%.*s", has_port ? (int)(colon - from) : 255, from);
}

static const char *present(const char *text)
{
    return text == NULL ? "" : text;
}

/* His place, or a free one, or the shared one. */
static struct peer *find(struct refusals *r, const struct refusals_count *key)
{
    struct peer *pool = r->peers[key->subject[0] == '\0' ? 0 : 1], *free_one = NULL;
    for (size_t i = 0; i < REFUSALS_PEERS; i++) {
        struct peer *p = &pool[i];
        if (!p->is_used) {
            free_one = free_one == NULL ? p : free_one;
        } else if (strcmp(p->count.from, key->from) == 0 &&
                   strcmp(p->count.subject, key->subject) == 0 &&
                   strcmp(p->count.issuer, key->issuer) == 0) {
            return p;
        }
    }
    return free_one != NULL ? free_one : &pool[REFUSALS_PEERS];
}

static bool is_shared(const struct refusals *r, const struct peer *p)
{
    return p == &r->peers[0][REFUSALS_PEERS] || p == &r->peers[1][REFUSALS_PEERS];
}

static void add_to(struct peer *p, const struct refusal *refusal)
{
    struct refusals_count *c = &p->count;
    c->calls++;
    (void)snprintf(c->error, sizeof(c->error), "%s", present(refusal->error));
    for (size_t i = 0; i < c->method_count; i++) {
        if (strcmp(c->methods[i], refusal->method) == 0) {
            return;
        }
    }
    if (c->method_count < REFUSALS_METHODS) {
        (void)snprintf(c->methods[c->method_count++], REFUSALS_METHOD_SIZE, "%s", refusal->method);
    }
}

bool refusals_add(struct refusals *refusals, const struct refusal *refusal, int64_t now_ns)
{
    struct refusals_count key = {.calls = 0};
    host_of(refusal->from, key.from);
    (void)snprintf(key.issuer, sizeof(key.issuer), "%s", present(refusal->issuer));
    (void)snprintf(key.subject, sizeof(key.subject), "%s", present(refusal->subject));
    (void)pthread_mutex_lock(&refusals->mutex);
    struct peer *p = find(refusals, &key);
    bool is_first = !p->is_used && !is_shared(refusals, p);
    if (!p->is_used) {
        *p = (struct peer){.is_used = true, .since_ns = now_ns, .count = key};
        if (is_shared(refusals, p)) {
            p->count.issuer[0] = p->count.subject[0] = '\0';
            (void)snprintf(p->count.from, sizeof(p->count.from), "several addresses");
        }
    }
    if (!is_first) {
        add_to(p, refusal);
    }
    (void)pthread_mutex_unlock(&refusals->mutex);
    return is_first;
}

bool refusals_next(struct refusals *refusals, int64_t now_ns, bool all, struct refusals_count *out)
{
    bool found = false;
    (void)pthread_mutex_lock(&refusals->mutex);
    for (size_t i = 0; !found && i < (size_t)POOLS * (REFUSALS_PEERS + 1); i++) {
        struct peer *p = &refusals->peers[i / (REFUSALS_PEERS + 1)][i % (REFUSALS_PEERS + 1)];
        if (!p->is_used || (!all && now_ns - p->since_ns < window_ns)) {
            continue;
        }
        found = p->count.calls > 0;
        if (found) { /* he goes on: the next ones are counted, too */
            *out = p->count;
            p->since_ns = now_ns;
            p->count.calls = 0;
            p->count.method_count = 0;
        } else {
            p->is_used = false;
        }
    }
    (void)pthread_mutex_unlock(&refusals->mutex);
    return found;
}
