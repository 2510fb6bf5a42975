/* Between the files of the secrets. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_SECRETS_INTERNAL_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_SECRETS_INTERNAL_H

#include "sidecar/protocol/http/http_body.h"

struct http_secrets_found {
    enum { HTTP_SECRETS_CLEAN, HTTP_SECRETS_PARTIAL, HTTP_SECRETS_FOUND } what;
    size_t start; /* everything before it is clean; CLEAN: the end of the text */
    size_t size;  /* FOUND: also of what overlaps with it */
};

/* The first secret at `from` or behind it. PARTIAL: the text ends within what may be one, or within
 * what may overlap with one that was found; never when the text `is_last`. */
struct http_secrets_found http_secrets_find(const struct http_secrets *s, struct bytes text,
                                            size_t from, bool is_last);
/* A secret may be written as a number of JSON. */
bool http_secrets_have_number(const struct http_secrets *s);

#endif
