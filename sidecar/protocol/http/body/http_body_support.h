/* Bodies through the pipeline in pieces, for its tests. */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_HTTP_BODY_SUPPORT_H
#define CHAPERONE_SIDECAR_PROTOCOL_HTTP_BODY_SUPPORT_H

#include "sidecar/masking/masker.h"
#include "sidecar/protocol/http/http_body.h"

/* A masker of a policy whose one rule has this `mask` (JSON). Returns owned; exits the process
 * where it does not compile. The policy is never freed. */
struct masker *http_body_test_masker(const char *mask_json);

/* Codes, and takes the codings off again; `field` as Content-Encoding. Replace what is in `out`.
 * False: it is not of these codings, or not complete. */
void http_body_test_encode(const char *field, struct bytes in, struct buffer *out);
bool http_body_test_decode(const char *field, struct bytes in, struct buffer *out);

struct http_body_test {
    struct buffer out, plain; /* what was shown, what was recorded */
    bool was_masked, had_secrets;
};
void http_body_test_init(struct http_body_test *t);
void http_body_test_finish(struct http_body_test *t);
/* Of everything from create to finish, with on_plain set; in pieces, the first of `first` bytes (0:
 * as the others), the others of `step`. Replaces what is in `t`. */
enum err http_body_test_run(struct http_body_test *t, struct http_body_options options,
                            struct bytes in, size_t first, size_t step);

#endif
