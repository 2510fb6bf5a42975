#include "cli/reconcile/sessions.h"

#include <search.h>
#include <stdio.h>
#include <stdlib.h>

enum { KEY_SIZE = 128 };

struct known {
    char key[KEY_SIZE]; /* first: what it is found by */
    struct session_names names;
};

struct sessions {
    void *tree;
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

static bool make_key(const char *stream, const char *session, char out[KEY_SIZE])
{
    int n = snprintf(out, KEY_SIZE, "%s/%s", session, stream);
    return n > 0 && n < KEY_SIZE;
}

enum err sessions_add(struct sessions *s, const char *stream, const char *session, const char *user,
                      const char *database)
{
    struct known *k = calloc(1, sizeof(*k));
    if (k == NULL) {
        return ERR_NO_MEMORY;
    }
    if (!make_key(stream, session, k->key)) {
        free(k);
        return OK; /* none that a sidecar makes: it stays unknown */
    }
    (void)snprintf(k->names.user, sizeof(k->names.user), "%s", user);
    (void)snprintf(k->names.database, sizeof(k->names.database), "%s", database);
    if (tfind(k, &s->tree, compare) != NULL) {
        free(k);
        return OK;
    }
    if (s->count == SESSIONS_MAX || tsearch(k, &s->tree, compare) == NULL) {
        free(k);
        return s->count == SESSIONS_MAX ? ERR_LIMIT : ERR_NO_MEMORY;
    }
    s->count++;
    return OK;
}

const struct session_names *sessions_find(const struct sessions *s, const char *stream,
                                          const char *session)
{
    char key[KEY_SIZE];
    void *const *found = make_key(stream, session, key) ? tfind(key, &s->tree, compare) : NULL;
    return found == NULL ? NULL : &((const struct known *)*found)->names;
}

struct sessions *sessions_create(void)
{
    return calloc(1, sizeof(struct sessions));
}

void sessions_destroy(struct sessions *s)
{
    if (s != NULL) {
        tdestroy(s->tree, free);
        free(s);
    }
}
