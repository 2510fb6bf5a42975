/* The file with the private keys: only its owner reads it, and it is whole at every moment. */
#ifndef CHAPERONE_CLI_ISSUER_KEY_FILE_H
#define CHAPERONE_CLI_ISSUER_KEY_FILE_H

#include "base/bytes.h"

/* Appends the content. ERR_NOT_FOUND; ERR_DENIED when others than its owner may read it. */
enum err key_file_read(const char *path, struct buffer *out, struct err_text *why) MUST_USE;

/* Replaces the file, mode 0600, by a rename. */
enum err key_file_write(const char *path, struct bytes content, struct err_text *why) MUST_USE;

#endif
