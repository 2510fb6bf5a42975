/* The hash tiles of an export, kept until they are put into the package, and read for proofs. */
#ifndef CHAPERONE_CLI_EVIDENCE_TILES_H
#define CHAPERONE_CLI_EVIDENCE_TILES_H

#include "base/tlog/tile.h"
#include "cli/evidence/spool.h"
#include "cli/evidence/zip.h"

struct tiles;

/* Borrows the spool. Returns owned; NULL when memory is short. */
struct tiles *tiles_create(struct spool *spool) MUST_USE;
void tiles_destroy(struct tiles *t); /* takes NULL */

/* ERR_INVALID with a sentence: the path is no hash tile's, or the data is not as long as it says.
 */
enum err tiles_add(struct tiles *t, const char *path, struct bytes data,
                   struct err_text *why) MUST_USE;
size_t tiles_count(const struct tiles *t);

/* After the last one. ERR_INVALID with a sentence: one is there twice. */
enum err tiles_sort(struct tiles *t, struct err_text *why) MUST_USE;
/* Borrows; only of sorted ones. */
struct tlog_tile_source tiles_source(struct tiles *t);
/* Puts the n-th one into the package. */
enum err tiles_write(struct tiles *t, size_t n, struct zip *zip) MUST_USE;

#endif
