/* 32 random bytes in a file of mode 0600, made at first use: a key of this deployment. */
#ifndef CHAPERONE_CONTROLPLANE_CREDENTIALS_SECRET_KEY_H
#define CHAPERONE_CONTROLPLANE_CREDENTIALS_SECRET_KEY_H

#include "base/bytes.h"

enum { SECRET_KEY_SIZE = 32 };

/* Reads the key, or makes it where the file does not exist; of several processes that make it at
 * the same time all get the same. `what` names it in `why`: "a credentials key". ERR_DENIED: the
 * file's mode is laxer than 0600; ERR_INVALID: it is not a key. The caller wipes `out`. */
enum err secret_key_load(const char *path, const char *what, uint8_t out[SECRET_KEY_SIZE],
                         struct err_text *why) MUST_USE;

#endif
