/* Small files of the data directory: keys, certificates, pid and port files.
 *
 * What is made is on the disk when the function returns; base/file.h replaces what is there. */
#ifndef CHAPERONE_CONTROLPLANE_FILES_FILES_H
#define CHAPERONE_CONTROLPLANE_FILES_FILES_H

#include <stdbool.h>
#include <sys/types.h>

#include "base/bytes.h"

/* The most that is read of any such file; certificates and chains are a few KiB. */
enum { FILES_READ_CAP = 1 << 20 };

/* Appends the content to `out`. ERR_NOT_FOUND when there is none, ERR_LIMIT above the buffer's cap.
 */
enum err files_read(const char *path, struct buffer *out, struct err_text *why) MUST_USE;

/* Makes the file; ERR_EXISTS when it is there already, also when another process was faster. */
enum err files_create(const char *path, mode_t mode, struct bytes content,
                      struct err_text *why) MUST_USE;

/* A key's file: a regular file that group and others cannot touch. ERR_NOT_FOUND, or ERR_DENIED
 * with the mode it has and the command that mends it. */
enum err files_check_private(const char *path, struct err_text *why) MUST_USE;

/* Makes a directory and its missing parents; one that exists is left as it is. */
enum err files_make_directory(const char *path, mode_t mode, struct err_text *why) MUST_USE;

/* "DIRECTORY/NAME". Returns owned (free()); NULL when memory is short. */
char *files_join(const char *directory, const char *name) MUST_USE;

#endif
