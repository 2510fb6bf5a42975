/* Small files that are read whole: tokens, certificates, what a stack was started with. */
#ifndef CHAPERONE_CLI_TEXT_FILE_H
#define CHAPERONE_CLI_TEXT_FILE_H

#include "base/bytes.h"

/* Initialises `out` and fills it; the caller finishes or wipes it, also after a failure. The
 * sentence names the file. ERR_NOT_FOUND, ERR_IO, ERR_LIMIT: more than `cap` bytes. */
enum err text_file_read(const char *path, size_t cap, struct buffer *out,
                        struct err_text *error) MUST_USE;

#endif
