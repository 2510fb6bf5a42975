/* Bytes that wait on the disk to be put in their place: a file without a name, which is gone with
 * the process however it ends. Not thread-safe. */
#ifndef CHAPERONE_CLI_EVIDENCE_SPOOL_H
#define CHAPERONE_CLI_EVIDENCE_SPOOL_H

#include "base/bytes.h"

struct spool;

/* What was put in, and where. A plain value. */
struct spool_item {
    uint64_t offset;
    uint32_t size;
};

/* In this directory, readable by its owner only. Returns owned. ERR_IO with a sentence. */
enum err spool_create(const char *directory, struct spool **out, struct err_text *why) MUST_USE;
void spool_destroy(struct spool *s); /* takes NULL */

/* ERR_FULL: the disk is. ERR_LIMIT: above 4 GiB at once. */
enum err spool_put(struct spool *s, struct bytes data, struct spool_item *out) MUST_USE;
/* Valid until the next call; NULL gives no bytes only for an item without any. */
enum err spool_get(struct spool *s, struct spool_item item, struct bytes *out) MUST_USE;

#endif
