/* Small files read whole: certificates, keys, tokens. */
#ifndef CHAPERONE_SIDECAR_FILES_H
#define CHAPERONE_SIDECAR_FILES_H

#include "base/bytes.h"

enum { FILES_SIZE_MAX = 1 << 20 };

/* Appends the file, or nothing; `why` names it. ERR_NOT_FOUND, ERR_IO; ERR_LIMIT: `out` would
 * grow beyond its cap. */
enum err files_read(const char *path, struct buffer *out, struct err_text *why) MUST_USE;

#endif
