/* The fields of a head or of trailers: which of them belong to the connection, and which may be
 * where (RFC 9110 sections 6.5.1 and 7.6.1). */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP1_FIELDS_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP1_FIELDS_H

#include "sidecar/protocol/http/http1/http1_parser.h"
#include "sidecar/protocol/http/http_codec.h"

enum {
    /* More things than this nobody says about one connection. */
    HTTP1_OPTIONS_MAX = 16,
};

/* What was taken out of the fields. A count above 1 makes its value meaningless. */
struct http1_taken {
    struct bytes host, length, coding, upgrade, expect;
    unsigned hosts, lengths, codings, upgrades, expects;
    bool closes, keeps_alive, upgrades_option; /* of Connection */
    struct bytes options[HTTP1_OPTIONS_MAX];   /* other fields that it names */
    size_t option_count;
};

/* Makes names lower case (`names` holds those that were not), takes white space off the values, and
 * takes out of `found` what belongs to the connection or frames the message. `is_request`: Host and
 * Expect are taken, too. */
enum http_problem http1_fields_take(struct http1_found *found, bool is_request,
                                    struct buffer *names, struct http1_taken *out,
                                    const char **out_why) MUST_USE;

/* As http1_fields_take; refuses what has no place in trailers. */
enum http_problem http1_fields_check_trailers(struct http1_found *found, struct buffer *names,
                                              const char **out_why) MUST_USE;

/* Makes it itself, or has no use for it: the codec never writes such a field of a message. `name`
 * in any case. */
bool http1_fields_is_own(struct bytes name);

/* It may be in trailers; `name` in any case. */
bool http1_fields_may_trail(struct bytes name);

/* The value of the only field with this name in lower case. False: there is none, or more. */
bool http1_fields_only(const struct http1_found *found, const char *name, struct bytes *out);

#endif
