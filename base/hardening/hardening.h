/* What a process that holds secrets gives up before it listens to anybody.
 *
 *   hardening_forbid_dumps   no core file, nobody reads its memory (first thing in main)
 *   hardening_drop           the user, the groups, the capabilities, new privileges
 *   confine_enter            the system calls (confine.h), last
 *
 * All of it holds for the process and all it starts, and none of it can be taken back. Called
 * before the first thread is made: Linux keeps these per thread. */
#ifndef CHAPERONE_BASE_HARDENING_HARDENING_H
#define CHAPERONE_BASE_HARDENING_HARDENING_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"

/* A sanitizer looks into its own process, and makes calls of its own: what would stop it is left
 * out then. */
bool hardening_is_sanitized(void);

/* RLIMIT_CORE 0, and PR_SET_DUMPABLE 0: neither a core file, nor a pipe that takes one, nor ptrace
 * or /proc/PID/mem by another process of the same user. */
void hardening_forbid_dumps(void);

struct hardening_options {
    const char *user; /* NULL: stays who it is */
    /* Bits of linux/capability.h that are kept without `user`, where the process has them; all
     * others go. With `user` none is kept. */
    uint64_t keep;
};

/* Becomes the user, with this user's groups; gives up capabilities; umask 027; no_new_privs; and
 * forbids dumps again, which a change of user allows. ERR_NOT_FOUND: no such user. ERR_DENIED: not
 * root, and not this user already; or the user is root. On failure the process must end: it may be
 * halfway. */
enum err hardening_drop(const struct hardening_options *options, struct err_text *why) MUST_USE;

enum { HARDENING_CAPABILITIES_SIZE = 32 };
/* "none", or the effective ones as in /proc/PID/status: "0000000000000400". */
void hardening_capabilities(char out[HARDENING_CAPABILITIES_SIZE]);

#endif
