/* The marks of sections (sqlite_marks.h), as a search comes by them: beside its own statement goes
 * one over the marks, as looking each up takes longer than reading the next. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKED_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_MARKED_H

#include "controlplane/store/sqlite.h"
#include "controlplane/store/sqlite_marks.h"

/* In one read of a connection, of which only one is used at a time. */
struct marked {
    struct db *db;
    bool is_newest_first;
    sqlite3_stmt *rows; /* NULL: none asked for yet */
    int64_t key;        /* of the row it is at */
    bool has_row;
    struct buffer marks; /* as they were sealed */
};
void marked_init(struct marked *marked, struct db *db, bool is_newest_first);
void marked_finish(struct marked *marked);

/* Whether the section of this key may have what is asked; keys come in the order said at first.
 * Also true of one that has no marks, or whose marks somebody changed. */
enum err marked_may_have(struct marked *marked, const struct marks_query *query, int64_t key,
                         bool *out) MUST_USE;

#endif
