/* log.yaml: the log's name, and every public key that ever signed it. Inside of log_keys. */
#ifndef CHAPERONE_CONTROLPLANE_TLOG_LOG_DESCRIPTION_H
#define CHAPERONE_CONTROLPLANE_TLOG_LOG_DESCRIPTION_H

#include "controlplane/tlog/log_keys.h"

/* A public key, and until when it signs beside the newer one; 0: no end was set. */
struct log_known {
    struct tlog_verifier verifier;
    int64_t until_ns;
};

/* What log.yaml says. */
struct log_description {
    char base[LOG_ORIGIN_BASE_MAX + 1]; /* the origin of the first log */
    char origin[TLOG_ORIGIN_MAX + 1];
    int64_t number; /* 1: the first log, 2: the one after a restart, ... */
    struct log_known known[LOG_KEYS_MAX];
    size_t known_count;
};

/* Makes `origin` of the base and the number. ERR_INVALID: it cannot be the name of a key. */
enum err log_description_set_origin(struct log_description *d, struct err_text *why) MUST_USE;
/* ERR_NOT_FOUND; ERR_INVALID names the place in the file. */
enum err log_description_load(const char *path, struct log_description *out,
                              struct err_text *why) MUST_USE;
enum err log_description_store(const char *path, const struct log_description *d,
                               struct err_text *why) MUST_USE;

#endif
