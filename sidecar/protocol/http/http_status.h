/* Status codes in words: RFC 9110 section 15, RFC 6585. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_STATUS_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP_STATUS_H

/* "Not Found"; "" where it is not one of those that are met. Static. */
const char *http_status_reason(unsigned status);

#endif
