/* What a witness has signed, in a directory: for each log one file with the last checkpoint, the
 * log's signature and the witness's own.
 *
 * A file is replaced as a whole and is on the disk when memory_keep returns; only then may a
 * signature leave. One process has the directory at a time. A file that is not what this witness
 * wrote is an error, never taken for "nothing seen". Calls for different logs may run at a time. */
#ifndef CHAPERONE_CLI_WITNESS_MEMORY_H
#define CHAPERONE_CLI_WITNESS_MEMORY_H

#include "cli/witness/judge.h"

struct memory;

/* Makes the directory (mode 0700) where it is missing, and takes its lock until destroy.
 * ERR_EXISTS: another process has it; ERR_DENIED: others may write there. Returns owned. */
enum err memory_create(const char *directory, struct memory **out, struct err_text *why) MUST_USE;
void memory_destroy(struct memory *memory); /* takes NULL */

/* "DIRECTORY/NAME". Returns owned (free()); NULL when memory is short. */
char *memory_path(const char *directory, const char *name) MUST_USE;

/* What was signed last of this log; `self` is the witness's key. ERR_DENIED with a sentence: the
 * file is not what this witness wrote. */
enum err memory_load(const struct memory *memory, const char *origin,
                     const struct tlog_verifier *self, struct witness_seen *out,
                     struct err_text *why) MUST_USE;

/* Replaces it by this note. When it cannot be told what is on the disk, this and all later calls
 * fail: another start reads it. */
enum err memory_keep(struct memory *memory, const char *origin, struct bytes note,
                     struct err_text *why) MUST_USE;

/* Keeps a checkpoint that the log signed against one that it signed before, beside the latter:
 * together they prove it. The same one is kept once; at most MEMORY_FORKS_MAX for all logs, then
 * ERR_FULL. */
enum { MEMORY_FORKS_MAX = 100 };
enum err memory_keep_fork(struct memory *memory, struct bytes note, struct err_text *why) MUST_USE;

#endif
