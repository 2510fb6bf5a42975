/* All sessions of a process: by id (kill orders), by the key they published (cancel requests). */
#ifndef CHAPERONE_SIDECAR_DIRECTORY_H
#define CHAPERONE_SIDECAR_DIRECTORY_H

#include <stdbool.h>
#include <stddef.h>

#include "base/bytes.h"

struct directory;
struct session;

enum { DIRECTORY_KEY_MAX = 64 }; /* bytes of a published key */

/* A session's place in the directory: the session's own memory. */
struct directory_entry {
    struct session *session;
    const char *id;
    uint8_t key[DIRECTORY_KEY_MAX];
    size_t key_size;
    struct directory_entry *next, *previous; /* all */
    struct directory_entry *next_in_bucket;  /* those with a key */
};

/* Returns owned; NULL when memory is short. */
struct directory *directory_create(void) MUST_USE;
void directory_destroy(struct directory *d); /* takes NULL; must be empty */

void directory_add(struct directory *d, struct directory_entry *e);
void directory_remove(struct directory *d, struct directory_entry *e);
size_t directory_count(const struct directory *d);

/* ERR_EXISTS: another session has that key; ERR_LIMIT: it is too long. */
enum err directory_publish(struct directory *d, struct directory_entry *e,
                           struct bytes key) MUST_USE;
struct session *directory_find_key(const struct directory *d, struct bytes key);
struct session *directory_find_id(const struct directory *d, const char *id);

/* `fn` may remove the entry it is given, no other. */
void directory_each(struct directory *d, void (*fn)(void *context, struct session *session),
                    void *context);

#endif
