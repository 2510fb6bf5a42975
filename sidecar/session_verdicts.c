/* What the policy said about the same question a moment ago. A decision is a function of the
 * policy, of the session's identity and resource, of the time in whole seconds, and of what is
 * asked, of HTTP the whole request; when all of them are the same, so is the word. What is asked is
 * compared byte for byte, not by a hash. A hold is always asked for anew. */
#include <stdlib.h>

#include "sidecar/session_internal.h"

enum {
    QUESTION_MAX = 320, /* a join of a few tables; longer ones are always asked */
    VERDICTS = 8,
};

struct question {
    size_t size; /* 0: too long */
    uint64_t hash;
    uint8_t bytes[QUESTION_MAX];
};

struct kept {
    const struct policy *policy;
    uint64_t revision;
    int64_t second;
    struct question question;
    struct policy_verdict verdict; /* borrows from the policy */
};

struct session_verdicts {
    struct question question;    /* that was asked last */
    struct kept *kept[VERDICTS]; /* owned; NULL: not needed yet, for most sessions ask one thing */
    size_t next;                 /* counts on: whose turn it is to make room */
};

static inline void put(struct question *q, const void *data, size_t size, bool *fits)
{
    *fits = *fits && size <= sizeof(q->bytes) - q->size;
    if (*fits) {
        memcpy(q->bytes + q->size, data, size);
        q->size += size;
    }
}

/* With its NUL, so that no two lists have the same bytes; none is not the same as an empty one. */
static void put_text(struct question *q, const char *text, bool *fits)
{
    size_t size = text == NULL ? 1 : strlen(text) + 1;
    *fits = *fits && size < sizeof(q->bytes) - q->size;
    if (*fits) {
        q->bytes[q->size] = text == NULL ? 1 : 2;
        memcpy(q->bytes + q->size + 1, text == NULL ? "" : text, size);
        q->size += 1 + size;
    }
}

static void put_texts(struct question *q, char *const *texts, size_t count, bool *fits)
{
    put(q, &count, sizeof(count), fits);
    for (size_t i = 0; i < count && *fits; i++) {
        put_text(q, texts[i], fits);
    }
}

static void put_pairs(struct question *q, const struct policy_pair *pairs, size_t count, bool *fits)
{
    put(q, &count, sizeof(count), fits);
    for (size_t i = 0; i < count && *fits; i++) {
        put_text(q, pairs[i].name, fits);
        put_text(q, pairs[i].value, fits);
    }
}

/* All of a request: nothing else of an intent is looked at then. */
static void put_http(struct question *q, const struct policy_http *http, bool *fits)
{
    uint8_t kind[] = {http->is_websocket, (uint8_t)http->body_state};
    put(q, kind, sizeof(kind), fits);
    put_text(q, http->method, fits);
    put_text(q, http->host, fits);
    put_text(q, http->path, fits);
    put_pairs(q, http->query, http->query_count, fits);
    put_pairs(q, http->headers, http->header_count, fits);
    put_pairs(q, http->body, http->body_count, fits);
}

/* All that question_ask reads of an intent. */
static void put_intent(struct question *q, const Chaperone__V1__Intent *m, bool *out_fits)
{
    bool fits = *out_fits;
    uint8_t without_where = m->without_where != 0;
    put(q, &without_where, sizeof(without_where), &fits);
    put_texts(q, m->commands, m->n_commands, &fits);
    put_texts(q, m->accesses, m->n_accesses, &fits);
    put(q, &m->n_objects, sizeof(m->n_objects), &fits);
    for (size_t i = 0; i < m->n_objects && fits; i++) {
        const Chaperone__V1__Object *o = m->objects[i];
        put_text(q, o->kind, &fits);
        put_text(q, o->name, &fits);
        put_text(q, o->access, &fits);
        put_texts(q, o->columns, o->n_columns, &fits);
    }
    *out_fits = fits;
}

static void question_read(const struct session *s, const Chaperone__V1__Intent *m,
                          struct question *q)
{
    bool fits = true;
    uint8_t is_http = s->link.http != NULL;
    q->size = 0;
    put(q, &is_http, sizeof(is_http), &fits);
    if (is_http) {
        put_http(q, s->link.http, &fits);
    } else {
        put_intent(q, m, &fits);
    }
    q->size = fits ? q->size : 0;
    q->hash = bytes_hash(bytes_of(q->bytes, q->size));
}

static bool is_same(const struct question *a, const struct question *b)
{
    return a->hash == b->hash && a->size == b->size && memcmp(a->bytes, b->bytes, a->size) == 0;
}

static bool is_true_now(const struct kept *k, const struct policy *policy, int64_t second)
{
    return k->policy == policy && k->second == second && k->revision == policy_revision(policy);
}

bool session_verdict_find(struct session *s, const Chaperone__V1__Intent *intent, int64_t second,
                          struct policy_verdict *out)
{
    const struct policy *policy = s->shared->policy;
    if (s->verdicts == NULL) {
        s->verdicts = calloc(1, sizeof(*s->verdicts));
    }
    if (s->verdicts == NULL) {
        return false;
    }
    struct question *q = &s->verdicts->question;
    question_read(s, intent, q);
    for (size_t i = 0; i < VERDICTS && q->size > 0; i++) {
        const struct kept *k = s->verdicts->kept[i];
        if (k != NULL && is_same(&k->question, q) && is_true_now(k, policy, second)) {
            *out = k->verdict;
            return true;
        }
    }
    return false;
}

/* One that is of no use any more, a new one, or whose turn it is. NULL: no memory. */
static struct kept *choose_place(struct session_verdicts *v, const struct policy *policy,
                                 int64_t second)
{
    for (size_t i = 0; i < VERDICTS; i++) {
        if (v->kept[i] == NULL) {
            v->kept[i] = calloc(1, sizeof(*v->kept[i]));
            return v->kept[i];
        }
        if (!is_true_now(v->kept[i], policy, second)) {
            return v->kept[i];
        }
    }
    return v->kept[v->next++ % VERDICTS];
}

void session_verdict_keep(struct session *s, int64_t second, const struct policy_verdict *verdict)
{
    if (s->verdicts == NULL || s->verdicts->question.size == 0 || verdict->effect == POLICY_HOLD) {
        return;
    }
    const struct policy *policy = s->shared->policy;
    struct kept *place = choose_place(s->verdicts, policy, second);
    if (place != NULL) {
        *place = (struct kept){.policy = policy,
                               .revision = policy_revision(policy),
                               .second = second,
                               .question = s->verdicts->question,
                               .verdict = *verdict};
    }
}

void session_verdicts_forget(struct session *s)
{
    for (size_t i = 0; s->verdicts != NULL && i < VERDICTS; i++) {
        free(s->verdicts->kept[i]);
    }
    free(s->verdicts);
    s->verdicts = NULL;
}
