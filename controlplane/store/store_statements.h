/* Statements for tests to put into a store, to find and to erase. What fails, fails the test. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_STATEMENTS_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_STATEMENTS_H

#include "controlplane/store/store_records.h"

/* One of the session "x" of the sidecar "s1", of some 2 kilobytes, as a batch of its own. */
enum err statements_append_one(struct store *store, uint64_t sequence) MUST_USE;
/* `count` of them. */
void statements_append(struct store *store, uint64_t first, uint64_t count);

/* `count` of the sidecar "s" and the number of the stream as one batch, 64 at most; all of them
 * have the word "something". */
enum err statements_append_batch(struct store *store, uint64_t stream, uint64_t first,
                                 uint64_t count, struct store_audit_appended *out) MUST_USE;

/* 300 statements with a word each ("quokka" and its number) of a session "x" that ends, on db1,
 * whose statements also have the word "numbatx", and of "y" that does not, with "numbaty". The
 * first come close together, the others are far apart. */
void statements_append_words(struct store *store);

/* How many records have those words, of 1000 at most. */
size_t statements_count(struct store *store, const char *text);

/* Erases the sessions on a resource that have ended until there is none; how many there were. */
size_t statements_erase(struct store *store, const char *resource);

#endif
