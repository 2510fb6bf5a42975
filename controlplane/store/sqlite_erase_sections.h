/* What is erased of a section: its document in the index of words, the tags of its tables, and its
 * content. Its head, without tables, and its batch say what was where. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_ERASE_SECTIONS_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_ERASE_SECTIONS_H

#include "controlplane/store/sqlite.h"

/* In a write: some of a session's sections from `*from` on, where the next call goes on; as many as
 * others can wait for. 0: there is none from there on. What somebody changed is erased too, but
 * what the index has of its words stays. The arena is scratch. */
enum err sqlite_sections_erase(struct db *db, int64_t session, int64_t *from, struct arena *arena,
                               size_t *out_count) MUST_USE;

#endif
