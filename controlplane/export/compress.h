/* Compressing what is written to files, each batch for itself: a frame of zstd (RFC 8878) or a
 * member of gzip (RFC 1952). Both formats allow any number of them in a file, so that what is on
 * the disk can be read up to its last whole one. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_COMPRESS_H
#define CHAPERONE_CONTROLPLANE_EXPORT_COMPRESS_H

#include "base/bytes.h"
#include "controlplane/config.h"

/* "", ".gz", ".zst". */
const char *export_compress_suffix(enum config_compression kind);

/* Appends. ERR_NO_MEMORY, ERR_LIMIT (the buffer's cap). */
enum err export_compress(enum config_compression kind, struct bytes in,
                         struct buffer *out) MUST_USE;

/* How many bytes of a file are whole: up to the last line, frame or member that ends. */
size_t export_compress_whole(enum config_compression kind, struct bytes file);

#endif
