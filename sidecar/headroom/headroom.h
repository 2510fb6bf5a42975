/* Whether so much memory can still be had, before work that would end the process without it.
 *
 * libpg_query exits when it runs out of memory at the wrong moment, and a process that goes beyond
 * the limit of its cgroup is killed by the kernel. A statement that may need more than there is
 * must be refused before. What counts is the least of
 *
 *  - RLIMIT_AS as it is at that moment: so much address space is mapped and given back, untouched;
 *  - the limit of the cgroup, v1 or v2, and of those above it, as they are at the start, less what
 *    this process has resident of its own (not files: the kernel takes their pages back).
 *
 * It is a look, not a claim: other threads may take the memory afterwards. Callers ask for a
 * margin. For one thread. */
#ifndef CHAPERONE_SIDECAR_HEADROOM_HEADROOM_H
#define CHAPERONE_SIDECAR_HEADROOM_HEADROOM_H

#include <stdbool.h>
#include <stddef.h>

struct headroom;

/* Returns owned; NULL when memory is short. `limit`: of headroom_cgroup_limit. */
struct headroom *headroom_create(size_t limit);
void headroom_destroy(struct headroom *h); /* takes NULL */

/* In bytes. Costs a few system calls. */
bool headroom_has(const struct headroom *h, size_t bytes);

/* The least limit of a cgroup that `membership` (/proc/self/cgroup) names, or one above it, in the
 * hierarchies mounted under `mount` (/sys/fs/cgroup). In bytes; SIZE_MAX: none, or none that can be
 * read. */
size_t headroom_cgroup_limit(const char *membership, const char *mount);

#endif
