/* Which process holds a socket: what /proc says, with a memory of where sockets were seen.
 *
 * /proc answers the question the other way round only (which sockets a process holds), one link for
 * each descriptor, so a process with thousands of connections would cost thousands of links for
 * each. What was seen in one pass is remembered, and only tells where to look first: an answer is
 * always read from /proc now. Where several processes hold a socket, one of them is given.
 *
 * For one thread. Memory: 48 KB, once there was something to remember. */
#ifndef CHAPERONE_SIDECAR_HOLDERS_H
#define CHAPERONE_SIDECAR_HOLDERS_H

#include <stdint.h>

struct holders;

/* Returns owned; NULL: no memory. */
struct holders *holders_create(void);
void holders_destroy(struct holders *holders); /* takes NULL */

/* The pid of a process of this user (or of root's) that holds the socket with this inode; -1: none
 * that we may look into, or it was not found within HOLDERS_LINKS_MAX links. */
enum { HOLDERS_LINKS_MAX = 20000 };
int64_t holders_find(struct holders *holders, uint32_t inode, int64_t uid);

/* Links that were read so far: what the answers have cost, a microsecond or two each. */
uint64_t holders_links(const struct holders *holders);

#endif
