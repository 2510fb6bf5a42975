/* Small files of the state directory: mode 0600, replaced atomically. */
#ifndef CHAPERONE_SIDECAR_CONTROL_STATE_FILE_H
#define CHAPERONE_SIDECAR_CONTROL_STATE_FILE_H

#include "base/bytes.h"

/* Makes the directory (0700) when it is not there, and takes its lock; both descriptors are owned
 * by the caller. ERR_EXISTS: another process has it. */
enum err state_directory_open(const char *path, int *out_dir, int *out_lock,
                              struct err_text *why) MUST_USE;
/* Appends the file's content. ERR_NOT_FOUND; ERR_LIMIT: longer than the buffer's cap allows. */
enum err state_file_read(int dir, const char *name, struct buffer *out) MUST_USE;
/* The name stands for the old content or the new one, whenever the machine stops. */
enum err state_file_write(int dir, const char *name, struct bytes content) MUST_USE;

#endif
