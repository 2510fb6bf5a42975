/* From a host name to a socket address, without stopping the loop: numeric addresses and unix paths
 * at once, names on a thread of their own. */
#ifndef CHAPERONE_BASE_NET_RESOLVE_H
#define CHAPERONE_BASE_NET_RESOLVE_H

#include <stdint.h>
#include <sys/socket.h>

#include "base/net/loop.h"

struct resolve;

/* `address` is NULL on failure, and `why` says it. Borrowed. On the loop's thread, never from
 * inside resolve_start. */
typedef void resolve_fn(void *context, const struct sockaddr *address, socklen_t size,
                        const char *why);

enum err resolve_start(struct loop *loop, const char *host, uint16_t port, resolve_fn *fn,
                       void *context, struct resolve **out) MUST_USE;
/* No callback after it. Takes NULL. */
void resolve_cancel(struct resolve *resolve);

/* "host:port", "[::1]:port", ":port" → host (at most `size` - 1 characters) and port. For
 * configuration. */
enum err resolve_split(const char *text, char *out_host, size_t size, uint16_t *out_port) MUST_USE;

#endif
