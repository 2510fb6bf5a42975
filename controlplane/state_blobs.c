#include "controlplane/state_blobs.h"

#include <stdlib.h>

#include "controlplane/blobs/directory.h"
#include "controlplane/blobs/s3.h"
#include "controlplane/files/files.h"

enum { KEY_CAP = 4 << 10 };

static enum err read_key(const struct config_secret *secret, const char *name, struct buffer *out,
                         struct err_text *why)
{
    enum err e = OK;
    /* At once: a buffer that grows leaves copies of the secret behind. */
    if (buffer_reserve(out, KEY_CAP) == NULL) {
        return ERR_NO_MEMORY;
    }
    if (secret->source == CONFIG_SECRET_ENV) {
        const char *value = getenv(secret->at);
        e = value == NULL
                ? err_set(why, ERR_NOT_FOUND, "blobs.s3.%s: the environment variable %s is not set",
                          name, secret->at)
                : buffer_append_string(out, value);
    } else {
        e = files_read(secret->at, out, why);
    }
    while (e == OK && out->end > out->start &&
           (out->data[out->end - 1] == '\n' || out->data[out->end - 1] == '\r')) {
        out->end--; /* as editors leave them */
    }
    for (size_t i = out->start; e == OK && i < out->end; i++) {
        if (out->data[i] <= ' ' || out->data[i] > '~') {
            e = err_set(why, ERR_INVALID, "blobs.s3.%s is not a key", name);
        }
    }
    if (e == OK && buffer_size(out) == 0) {
        e = err_set(why, ERR_INVALID, "blobs.s3.%s is empty", name);
    }
    return e == ERR_LIMIT ? err_set(why, ERR_INVALID, "blobs.s3.%s is too long", name) : e;
}

static enum err open_s3(const struct config_blobs *config, struct blobs **out, struct err_text *why)
{
    struct blobs_s3_options options = {.endpoint = config->endpoint,
                                       .bucket = config->bucket,
                                       .region = config->region,
                                       .prefix = config->prefix,
                                       .is_virtual_host = config->is_virtual_host,
                                       .ca_file = config->ca_file,
                                       .timeout_ns = config->timeout_ns};
    struct buffer key_id, secret_key;
    buffer_init(&key_id, KEY_CAP);
    buffer_init(&secret_key, KEY_CAP);
    enum err e = read_key(&config->key_id, "access_key_id", &key_id, why);
    if (e == OK) {
        e = read_key(&config->secret_key, "secret_access_key", &secret_key, why);
    }
    if (e == OK) {
        options.key_id = buffer_bytes(&key_id);
        options.secret_key = buffer_bytes(&secret_key);
        e = blobs_open_s3(&options, out, why);
    }
    buffer_wipe(&key_id);
    buffer_wipe(&secret_key);
    return e;
}

enum err state_open_blobs(const struct config_blobs *config, struct blobs **out,
                          struct err_text *why)
{
    switch (config->kind) {
    case CONFIG_BLOBS_DIRECTORY: return blobs_open_directory(config->directory, out, why);
    case CONFIG_BLOBS_S3: return open_s3(config, out, why);
    case CONFIG_BLOBS_NONE: break;
    }
    *out = NULL;
    return OK;
}
