/* What a place for blobs implements: the functions of blobs.h, whose arguments were checked. */
#ifndef CHAPERONE_CONTROLPLANE_BLOBS_BACKEND_H
#define CHAPERONE_CONTROLPLANE_BLOBS_BACKEND_H

#include "controlplane/blobs/blobs.h"

struct blobs_backend {
    void (*destroy)(struct blobs *blobs);
    enum err (*put)(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct bytes content,
                    struct err_text *why);
    /* Appends. What it gives is checked by the caller. */
    enum err (*get)(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct buffer *out,
                    struct err_text *why);
    enum err (*remove)(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                       struct err_text *why);
};

/* The first member of every backend's own struct. */
struct blobs {
    const struct blobs_backend *backend; /* borrows: static */
};

#endif
