/* Which process is at the other end of a local connection: SO_PEERCRED for a unix socket, the
 * kernel's socket table and /proc for TCP on loopback. */
#ifndef CHAPERONE_SIDECAR_PEER_H
#define CHAPERONE_SIDECAR_PEER_H

#include <stdint.h>

#include "base/err.h"
#include "sidecar/holders.h"

enum { PEER_EXECUTABLE_MAX = 256 };

struct peer {
    int64_t pid, uid, gid;                /* -1: not known */
    char executable[PEER_EXECUTABLE_MAX]; /* "" : not known */
};

/* ERR_NOT_FOUND when nothing is known (another host, another network or pid namespace); what is
 * known is filled in even then. For the loop's thread: the memory of holders keeps it short. */
enum err peer_find(struct holders *holders, int fd, struct peer *out) MUST_USE;

#endif
