#include "controlplane/credentials/secret_key.h"

#include <openssl/rand.h>

#include "controlplane/files/files.h"

static enum err make(const char *path, struct err_text *why)
{
    uint8_t key[SECRET_KEY_SIZE];
    if (RAND_priv_bytes(key, sizeof(key)) != 1) {
        return err_set(why, ERR_IO, "the system gives no randomness for %s", path);
    }
    enum err e = files_create(path, 0600, bytes_of(key, sizeof(key)), why);
    bytes_wipe(key, sizeof(key));
    /* Another process made it in the meantime: its key is as good, and the only one. */
    return e == ERR_EXISTS ? OK : e;
}

enum err secret_key_load(const char *path, const char *what, uint8_t out[SECRET_KEY_SIZE],
                         struct err_text *why)
{
    struct buffer key;
    buffer_init(&key, SECRET_KEY_SIZE);
    enum err e = files_check_private(path, why);
    if (e == ERR_NOT_FOUND) {
        e = make(path, why);
    }
    if (e == OK) {
        e = files_read(path, &key, why);
    }
    if (e == ERR_LIMIT || (e == OK && buffer_size(&key) != SECRET_KEY_SIZE)) {
        e = err_set(why, ERR_INVALID, "%s is not %s: expected %d bytes", path, what,
                    SECRET_KEY_SIZE);
    }
    if (e == OK) {
        memcpy(out, key.data + key.start, SECRET_KEY_SIZE);
    }
    buffer_wipe(&key);
    return e;
}
