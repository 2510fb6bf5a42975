/* The file with the private keys: only its owner reads it. */
#ifndef CHAPERONE_CLI_ISSUER_KEY_FILE_H
#define CHAPERONE_CLI_ISSUER_KEY_FILE_H

#include "base/bytes.h"

/* Appends the content. ERR_NOT_FOUND; ERR_DENIED when others than its owner may read it. */
enum err key_file_read(const char *path, struct buffer *out, struct err_text *why) MUST_USE;

#endif
