/* What versions before sections (schema version 9) wrote: a row for each record. It is moved into
 * batches and sections when a store is opened, with the positions and keys that it has. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_CONVERT_H

#include "controlplane/store/sqlite.h"

/* On the writer, with the right master and before anybody else uses the store. In transactions of
 * a bounded size: where one failed (a full disk, a crash) the next opening goes on. Nothing to do:
 * OK at once. A record that was changed in the database stays one that cannot be read. */
enum err sqlite_convert(struct db *db, struct err_text *why) MUST_USE;

#endif
