#include "sidecar/directory.h"

#include <stdlib.h>

enum { BUCKETS = 1024 };

struct directory {
    struct directory_entry all; /* head of a ring */
    size_t count;
    struct directory_entry *by_key[BUCKETS];
};

struct directory *directory_create(void)
{
    struct directory *d = calloc(1, sizeof(*d));
    if (d != NULL) {
        d->all.next = &d->all;
        d->all.previous = &d->all;
    }
    return d;
}

void directory_destroy(struct directory *d)
{
    free(d);
}

void directory_add(struct directory *d, struct directory_entry *e)
{
    e->previous = d->all.previous;
    e->next = &d->all;
    d->all.previous->next = e;
    d->all.previous = e;
    d->count++;
}

/* Keys are random, so their first bytes are hash enough. */
static struct directory_entry **bucket_of(struct directory *d, struct bytes key)
{
    size_t h = 0;
    for (size_t i = 0; i < key.size; i++) {
        h = h * 31 + key.data[i];
    }
    return &d->by_key[h % BUCKETS];
}

static void unpublish(struct directory *d, struct directory_entry *e)
{
    if (e->key_size == 0) {
        return;
    }
    struct directory_entry **place = bucket_of(d, bytes_of(e->key, e->key_size));
    while (*place != NULL && *place != e) {
        place = &(*place)->next_in_bucket;
    }
    if (*place == e) {
        *place = e->next_in_bucket;
    }
    e->key_size = 0;
}

void directory_remove(struct directory *d, struct directory_entry *e)
{
    unpublish(d, e);
    e->previous->next = e->next;
    e->next->previous = e->previous;
    d->count--;
}

size_t directory_count(const struct directory *d)
{
    return d->count;
}

enum err directory_publish(struct directory *d, struct directory_entry *e, struct bytes key)
{
    if (key.size == 0 || key.size > DIRECTORY_KEY_MAX) {
        return ERR_LIMIT;
    }
    if (directory_find_key(d, key) != NULL) {
        return ERR_EXISTS;
    }
    unpublish(d, e);
    memcpy(e->key, key.data, key.size);
    e->key_size = key.size;
    struct directory_entry **bucket = bucket_of(d, key);
    e->next_in_bucket = *bucket;
    *bucket = e;
    return OK;
}

struct session *directory_find_key(const struct directory *d, struct bytes key)
{
    struct directory_entry *e = *bucket_of((struct directory *)d, key);
    while (e != NULL && !bytes_equal(bytes_of(e->key, e->key_size), key)) {
        e = e->next_in_bucket;
    }
    return e == NULL ? NULL : e->session;
}

struct session *directory_find_id(const struct directory *d, const char *id)
{
    for (const struct directory_entry *e = d->all.next; e != &d->all; e = e->next) {
        if (strcmp(e->id, id) == 0) {
            return e->session;
        }
    }
    return NULL;
}

void directory_each(struct directory *d, void (*fn)(void *context, struct session *session),
                    void *context)
{
    struct directory_entry *e = d->all.next;
    while (e != &d->all) {
        struct directory_entry *next = e->next;
        fn(context, e->session);
        e = next;
    }
}
