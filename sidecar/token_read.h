/* Reads a token without stopping the loop: at once from a file or a variable, on a thread of its
 * own when a command must run. The source may be released meanwhile, the loop destroyed. */
#ifndef CHAPERONE_SIDECAR_TOKEN_READ_H
#define CHAPERONE_SIDECAR_TOKEN_READ_H

#include "base/net/loop.h"
#include "sidecar/token_source.h"

struct token_read;

/* `token` is borrowed and wiped afterwards; `why` is NULL when there is one. */
typedef void token_read_fn(void *context, enum err result, struct bytes token, const char *why);

/* The callback comes on the loop's thread, never from inside this call. */
enum err token_read_start(struct loop *loop, struct token_source *source, token_read_fn *fn,
                          void *context, struct token_read **out) MUST_USE;
void token_read_cancel(struct token_read *read); /* no callback after it; takes NULL */

#endif
