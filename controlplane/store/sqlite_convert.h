/* What older versions wrote, brought to what this one writes when a store is opened: on the writer,
 * with the right master and before anybody else uses the store. In transactions of a bounded size:
 * where one failed (a full disk, a crash) the next opening goes on. Nothing to do: OK at once.
 * `progress` may be NULL. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_H

#include "controlplane/store/sqlite.h"

/* Versions before sections (schema version 9) had a row for each record. They are moved into
 * batches and sections with their marks, with the positions and keys that they have. A record that
 * was changed in the database stays one that cannot be read. */
enum err sqlite_convert(struct db *db, const struct store_progress *progress,
                        struct err_text *why) MUST_USE;
/* Sections had no marks (sqlite_marks.h) before schema version 10: those that have none get them.
 * What sqlite_convert moved needs it only beside sections of the version between. */
enum err sqlite_convert_marks(struct db *db, const struct store_progress *progress,
                              struct err_text *why) MUST_USE;

#endif
