/* What a Content-Type field (RFC 9110 section 8.3) says of a body: how it can be looked into. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_CONTENT_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_CONTENT_H

#include "base/bytes.h"

enum http_content {
    HTTP_CONTENT_JSON,
    HTTP_CONTENT_FORM,
    HTTP_CONTENT_TEXT,
    HTTP_CONTENT_UNTYPED, /* no field: a text as long as it has no byte that no text has */
    HTTP_CONTENT_OPAQUE,  /* nothing that can be looked into */
};

/* ERR_DENIED: the field is malformed, or it is a text in another character set than UTF-8, US-ASCII
 * and ISO-8859-1 (in which detectors would find nothing). */
enum err http_content_parse(struct bytes field, enum http_content *out,
                            struct err_text *why) MUST_USE;
/* As far as it can be told without refusing: a malformed field is opaque. */
bool http_content_is_json(struct bytes field);

/* A byte that no text has (WHATWG MIME Sniffing, "binary data byte"), as UTF-16 has them too. */
bool http_content_is_binary(struct bytes text);

#endif
