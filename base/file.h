/* Files that are read and replaced whole: keys, certificates, small state. */
#ifndef CHAPERONE_BASE_FILE_H
#define CHAPERONE_BASE_FILE_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/bytes.h"

/* All of it, through interruptions and short writes. False with errno: part of it may be there. */
bool file_write_all(int fd, struct bytes content) MUST_USE;

/* What is left of it, behind what is in `out`, through interruptions. ERR_LIMIT: it is more than
 * the buffer's cap; ERR_IO with errno; ERR_NO_MEMORY. On failure a part of it may be there. */
enum err file_read_all(int fd, struct buffer *out) MUST_USE;

/* A new name is on the disk only when its directory is. False with errno. */
bool file_sync_directory_of(const char *path) MUST_USE;

/* Replaces the file: whenever the machine stops, the path names the old content or the new one, and
 * the new one once this returned OK. `mode` holds whatever the umask is. ERR_FULL, ERR_IO, or
 * ERR_LIMIT for a path that is too long; `why` names the path. */
enum err file_replace(const char *path, mode_t mode, struct bytes content,
                      struct err_text *why) MUST_USE;

#endif
