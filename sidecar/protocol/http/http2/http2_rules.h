/* What a method, an authority, a path may look like, and which fields have a place of their own:
 * the same for both versions, so that a message is not refused in one and let pass in the other. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_RULES_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_RULES_H

#include "base/bytes.h"

/* Pure. Names are in lower case. */

bool http2_rules_is_token(struct bytes text); /* RFC 9110 section 5.6.2 */
/* A host and perhaps a port; userinfo is refused (RFC 9113 section 8.3.1). */
bool http2_rules_is_authority(struct bytes text, bool needs_port);
/* Begins with a slash; visible ASCII without what no URI has and some readers take for something
 * else: a fragment, a backslash, a quote, angle brackets. */
bool http2_rules_is_path(struct bytes text);

/* RFC 9113 section 8.2.2: HTTP/2 does not have it. */
bool http2_rules_is_of_connection(struct bytes name);
/* Two of them could be read as either one. */
bool http2_rules_is_once(struct bytes name);
/* RFC 9110 section 6.5.1: says nothing about how to route, frame or read a message, or who asks. */
bool http2_rules_may_trail(struct bytes name);

#endif
