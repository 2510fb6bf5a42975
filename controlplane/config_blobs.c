/* `blobs`: where large records are kept. */
#include "controlplane/config_internal.h"

enum { THRESHOLD_DEFAULT = 64 << 10, THRESHOLD_MIN = 1 << 10, THRESHOLD_MAX = 1 << 20 };
static const int64_t second_ns = 1000000000;

/* Needed before the store is open. */
static enum err read_key(struct config_reader *r, const struct conf_node *map, const char *key,
                         struct config_secret *out)
{
    enum err e = conf_require(map, key, r->why);
    if (e == OK) {
        e = config_read_secret(r, map, key, out);
    }
    return e == OK && out->source == CONFIG_SECRET_STORE
               ? conf_fail(conf_get(map, key), r->why,
                           "expected {env: V} or {file: PATH}, found {store: ...}")
               : e;
}

static enum err read_names(struct config_reader *r, const struct conf_node *map,
                           struct config_blobs *out)
{
    static const char *const required[] = {"endpoint", "bucket", "region"};
    const char **const to[] = {&out->endpoint, &out->bucket, &out->region};
    enum err e = OK;
    for (size_t i = 0; e == OK && i < sizeof(required) / sizeof(required[0]); i++) {
        e = conf_require(map, required[i], r->why);
        if (e == OK) {
            e = conf_read_string(map, required[i], to[i], r->why);
        }
    }
    return e == OK ? conf_read_string(map, "prefix", &out->prefix, r->why) : e;
}

static enum err read_s3(struct config_reader *r, const struct conf_node *map,
                        struct config_blobs *out)
{
    static const char *const keys[] = {"endpoint", "bucket",        "region",
                                       "prefix",   "style",         "ca_file",
                                       "timeout",  "access_key_id", "secret_access_key",
                                       NULL};
    static const struct conf_choice styles[] = {{"path", 0}, {"virtual_host", 1}, {NULL, 0}};
    int style = 0;
    enum err e = conf_check_keys(map, keys, r->why);
    out->timeout_ns = 10 * second_ns;
    if (e == OK) {
        e = read_names(r, map, out);
    }
    if (e == OK) {
        e = conf_read_choice(map, "style", styles, &style, r->why);
    }
    if (e == OK) {
        e = config_read_file(r, map, "ca_file", &out->ca_file);
    }
    if (e == OK) {
        e = conf_read_duration(map, "timeout", second_ns, 120 * second_ns, &out->timeout_ns,
                               r->why);
    }
    if (e == OK) {
        e = read_key(r, map, "access_key_id", &out->key_id);
    }
    out->is_virtual_host = style == 1;
    return e == OK ? read_key(r, map, "secret_access_key", &out->secret_key) : e;
}

enum err config_read_blobs(struct config_reader *r, const struct conf_node *root)
{
    static const char *const keys[] = {"directory", "s3", "threshold", NULL};
    struct config_blobs *out = &r->config->store.blobs;
    const struct conf_node *map = NULL, *s3 = NULL;
    enum err e = conf_read_map(root, "blobs", &map, r->why);
    if (e != OK || map == NULL) {
        return e;
    }
    out->threshold = THRESHOLD_DEFAULT;
    e = conf_check_keys(map, keys, r->why);
    if (e == OK) {
        e = conf_read_size(map, "threshold", THRESHOLD_MIN, THRESHOLD_MAX, &out->threshold, r->why);
    }
    if (e == OK) {
        e = config_read_path(r, map, "directory", &out->directory);
    }
    if (e == OK) {
        e = conf_read_map(map, "s3", &s3, r->why);
    }
    if (e == OK && (s3 == NULL) == (out->directory == NULL)) {
        e = conf_fail(map, r->why, "expected exactly one of `directory` and `s3`");
    }
    out->kind = s3 == NULL ? CONFIG_BLOBS_DIRECTORY : CONFIG_BLOBS_S3;
    return e == OK && s3 != NULL ? read_s3(r, s3, out) : e;
}
