/* The compact serialisation of a signed token (RFC 7515 section 7.1), taken apart strictly.
 *
 * Nothing here is verified: the parts tell which issuer and which key to ask. Pure. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_TOKEN_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_TOKEN_H

#include <cjson/cJSON.h>

#include "base/bytes.h"
#include "controlplane/identity/algorithm.h"

enum {
    /* As large as an HTTP server takes a header; tokens with hundreds of groups fit. */
    TOKEN_SIZE_MAX = 16 * 1024,
    /* base64url; a header names an algorithm and a key, sometimes with a certificate chain. */
    TOKEN_HEADER_SIZE_MAX = 8 * 1024,
    TOKEN_KID_SIZE_MAX = 512,
};

struct token {
    struct bytes compact;       /* borrows: the whole token */
    struct bytes signing_input; /* borrows: header "." payload, as they came */
    const struct algorithm *algorithm;
    const char *kid;        /* NULL: not said; borrows from `header` */
    cJSON *header, *claims; /* owned */
    uint8_t *signature;     /* owned */
    size_t signature_size;
};

/* Borrows `compact` until token_finish. ERR_DENIED: `why` says what is wrong with it, and
 * never quotes more of it than names of algorithms and members. */
enum err token_init(struct token *t, struct bytes compact, struct err_text *why) MUST_USE;
void token_finish(struct token *t);

#endif
