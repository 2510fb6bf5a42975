#include "base/hardening/hardening.h"

#include <errno.h>
#include <grp.h>
#include <inttypes.h>
#include <linux/capability.h>
#include <pwd.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "base/sanitized.h"

enum {
    WORD_BITS = 32,        /* capget(2) counts them in two words */
    USER_RECORD = 16 << 10 /* bytes of one entry of passwd(5), far more than any is */
};

bool hardening_is_sanitized(void)
{
#ifdef IS_SANITIZED
    return true;
#else
    return false;
#endif
}

void hardening_forbid_dumps(void)
{
    const struct rlimit none = {0};
    (void)setrlimit(RLIMIT_CORE, &none);
    if (!hardening_is_sanitized()) { /* the search for leaks needs ptrace */
        /* Also where a pipe takes the core, which the limit does not stop. */
        (void)prctl(PR_SET_DUMPABLE, 0);
    }
}

/* --- capabilities ------------------------------------------------------------------------------
 */

static bool read_capabilities(struct __user_cap_data_struct out[2])
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    return syscall(SYS_capget, &header, out) == 0;
}

void hardening_capabilities(char out[HARDENING_CAPABILITIES_SIZE])
{
    struct __user_cap_data_struct now[2] = {0};
    uint64_t effective = UINT64_MAX; /* not known: not none */
    if (read_capabilities(now)) {
        effective = (uint64_t)now[1].effective << WORD_BITS | now[0].effective;
    }
    if (effective == 0) {
        (void)snprintf(out, HARDENING_CAPABILITIES_SIZE, "none");
    } else {
        (void)snprintf(out, HARDENING_CAPABILITIES_SIZE, "%016" PRIx64, effective);
    }
}

/* So that no program that it might start has them again. Needs CAP_SETPCAP: who has it not can
 * start none either, since there are no new privileges. */
static void drop_bounding(uint64_t keep)
{
    for (int i = 0; prctl(PR_CAPBSET_READ, i, 0, 0, 0) >= 0; i++) {
        if (i >= 64 || (keep >> i & 1) == 0) {
            (void)prctl(PR_CAPBSET_DROP, i, 0, 0, 0);
        }
    }
}

static enum err keep_only(uint64_t keep, struct err_text *why)
{
    struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
    struct __user_cap_data_struct now[2] = {0};
    if (!read_capabilities(now)) {
        return err_set(why, ERR_IO, "capabilities cannot be read: %s", strerror(errno));
    }
    for (int i = 0; i < 2; i++) {
        now[i].permitted &= (uint32_t)(keep >> (i * WORD_BITS));
        now[i].effective = now[i].permitted;
        now[i].inheritable = 0;
    }
    (void)prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_CLEAR_ALL, 0, 0, 0);
    return syscall(SYS_capset, &header, now) == 0
               ? OK
               : err_set(why, ERR_IO, "capabilities cannot be given up: %s", strerror(errno));
}

/* --- the user ----------------------------------------------------------------------------------
 */

static enum err become(const struct passwd *user, struct err_text *why)
{
    if (initgroups(user->pw_name, user->pw_gid) != 0 ||
        setresgid(user->pw_gid, user->pw_gid, user->pw_gid) != 0 ||
        setresuid(user->pw_uid, user->pw_uid, user->pw_uid) != 0) {
        return err_set(why, ERR_IO, "cannot become the user %s: %s", user->pw_name,
                       strerror(errno));
    }
    /* What could be taken back was not given up. */
    return setuid(0) != 0
               ? OK
               : err_set(why, ERR_INTERNAL, "the user %s can become root again", user->pw_name);
}

static enum err become_named(const char *name, struct err_text *why)
{
    char record[USER_RECORD];
    struct passwd user;
    struct passwd *found = NULL;
    int code = getpwnam_r(name, &user, record, sizeof(record), &found);
    if (found == NULL) {
        return err_set(why, ERR_NOT_FOUND, "no user %.64s: %s", name,
                       code == 0 ? "it does not exist" : strerror(code));
    }
    if (user.pw_uid == 0) {
        return err_set(why, ERR_DENIED, "the user %.64s is root: expected one without privileges",
                       name);
    }
    if (geteuid() == user.pw_uid && getuid() == user.pw_uid) {
        return OK;
    }
    return geteuid() == 0 ? become(&user, why)
                          : err_set(why, ERR_DENIED,
                                    "cannot become the user %.64s: only root can; start as root, "
                                    "or as this user",
                                    name);
}

enum err hardening_drop(const struct hardening_options *options, struct err_text *why)
{
    uint64_t keep = options->user == NULL ? options->keep : 0;
    (void)umask(027);
    drop_bounding(keep);
    enum err e = options->user == NULL ? OK : become_named(options->user, why);
    if (e == OK) {
        e = keep_only(keep, why);
    }
    if (e == OK && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) != 0) {
        e = err_set(why, ERR_IO, "no_new_privs cannot be set: %s", strerror(errno));
    }
    hardening_forbid_dumps();
    return e;
}
