/* Where nghttp2 gets its memory from: malloc, with what is given back overwritten first. It keeps
 * heads in its frames and in HPACK's tables, and some of their fields are credentials. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_MEMORY_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_HTTP2_MEMORY_H

#include <nghttp2/nghttp2.h>

/* Has no state: valid always. */
nghttp2_mem http2_memory(void);

#endif
