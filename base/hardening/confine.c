#include "base/hardening/confine.h"

#include <errno.h>
#include <linux/prctl.h>
#include <linux/sockios.h>
#include <sched.h>
#include <seccomp.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#include "base/hardening/confine_calls.h"
#include "base/hardening/hardening.h"

enum {
    SOCKET_TYPES = 0xf, /* below SOCK_CLOEXEC and SOCK_NONBLOCK; net.h calls it SOCK_TYPE_MASK */
    AS_A_TREE = 2,      /* seccomp_attr_set(3): SCMP_FLTATR_CTL_OPTIMIZE */
};

/* One condition on an argument. */
struct rule {
    int call;
    struct scmp_arg_cmp when;
};

static int allow_all(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, calls[i], 0);
    }
    return code;
}

static int kill_for(scmp_filter_ctx filter, const int *calls, size_t count)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        code = seccomp_rule_add(filter, SCMP_ACT_KILL_PROCESS, calls[i], 0);
    }
    return code;
}

static int allow_values(scmp_filter_ctx filter, const struct rule *rules, size_t count)
{
    int code = 0;
    for (size_t i = 0; code == 0 && i < count; i++) {
        code = seccomp_rule_add_array(filter, SCMP_ACT_ALLOW, rules[i].call, 1, &rules[i].when);
    }
    return code;
}

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

static int allow_some(scmp_filter_ctx filter)
{
    const scmp_datum_t self = (scmp_datum_t)getpid();
    const struct rule rules[] = {
        {SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_UNIX)},
        {SCMP_SYS(socketpair), SCMP_A0(SCMP_CMP_EQ, AF_UNIX)},
        /* sock_diag asks who connected, getaddrinfo which addresses there are. */
        {SCMP_SYS(socket), SCMP_A0(SCMP_CMP_EQ, AF_NETLINK)},
        /* A thread shares all with its process; a fork does not. */
        {SCMP_SYS(clone), SCMP_A0(SCMP_CMP_MASKED_EQ, CLONE_THREAD, CLONE_THREAD)},
        {SCMP_SYS(kill), SCMP_A0(SCMP_CMP_EQ, self)},
        {SCMP_SYS(tgkill), SCMP_A0(SCMP_CMP_EQ, self)},
        {SCMP_SYS(rt_tgsigqueueinfo), SCMP_A0(SCMP_CMP_EQ, self)},
        /* A thread of its own that others go before. */
        {SCMP_SYS(setpriority), SCMP_A0(SCMP_CMP_EQ, PRIO_PROCESS)},
        /* Asking for a limit, not setting one. */
        {SCMP_SYS(prlimit64), SCMP_A2(SCMP_CMP_EQ, 0)},
        {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_NAME)},
        {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_GET_NAME)},
        {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_GET_DUMPABLE)},
        {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_GET_NO_NEW_PRIVS)},
        {SCMP_SYS(prctl), SCMP_A0(SCMP_CMP_EQ, PR_SET_VMA)},
        {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TCGETS)},
        {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, TIOCGWINSZ)},
        {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONBIO)},
        {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIONREAD)},
        {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, FIOCLEX)},
        /* What the other side's TCP has not acknowledged yet: exports to syslog. */
        {SCMP_SYS(ioctl), SCMP_A1(SCMP_CMP_EQ, SIOCOUTQ)},
        {SCMP_SYS(mprotect), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        /* A shared library is mapped to be run, but not to be written. */
        {SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC, 0)},
        {SCMP_SYS(mmap), SCMP_A2(SCMP_CMP_MASKED_EQ, PROT_EXEC | PROT_WRITE, PROT_EXEC)},
    };
    return allow_values(filter, rules, COUNT(rules));
}

/* Of the internet: no raw sockets, which read and forge the host's traffic. */
static int allow_internet(scmp_filter_ctx filter)
{
    static const unsigned families[] = {AF_INET, AF_INET6};
    static const unsigned types[] = {SOCK_STREAM, SOCK_DGRAM};
    int code = 0;
    for (size_t i = 0; code == 0 && i < COUNT(families) * COUNT(types); i++) {
        code = seccomp_rule_add(filter, SCMP_ACT_ALLOW, SCMP_SYS(socket), 2,
                                SCMP_A0(SCMP_CMP_EQ, families[i / COUNT(types)]),
                                SCMP_A1(SCMP_CMP_MASKED_EQ, SOCKET_TYPES, types[i % COUNT(types)]));
    }
    return code;
}

/* glibc asks these first and has an older way, which it takes for ENOSYS only. The arguments of
 * clone3 are out of a filter's sight. */
static int name_older_ways(scmp_filter_ctx filter)
{
    static const int calls[] = {SCMP_SYS(clone3), SCMP_SYS(openat2), SCMP_SYS(epoll_pwait2)};
    int code = 0;
    for (size_t i = 0; code == 0 && i < COUNT(calls); i++) {
        code = seccomp_rule_add(filter, SCMP_ACT_ERRNO(ENOSYS), calls[i], 0);
    }
    return code;
}

static int fill(scmp_filter_ctx filter, enum confine_process process, bool enforce)
{
    const struct confine_calls common = confine_calls_common();
    const struct confine_calls more =
        process == CONFINE_CONTROLPLANE ? confine_calls_controlplane() : confine_calls_sidecar();
    const struct confine_calls fatal = confine_calls_fatal();
    int code = allow_all(filter, common.calls, common.count);
    code = code != 0 ? code : allow_all(filter, more.calls, more.count);
    code = code != 0 ? code : allow_some(filter);
    code = code != 0 ? code : allow_internet(filter);
    if (code == 0 && enforce) {
        code = name_older_ways(filter);
        code = code != 0 ? code : kill_for(filter, fatal.calls, fatal.count);
    }
    return code;
}

static int load(scmp_filter_ctx filter, enum confine_process process, bool enforce)
{
    int code = fill(filter, process, enforce);
    /* All threads, should there be some; and the kernel's log says what was refused. */
    code = code != 0 ? code : seccomp_attr_set(filter, SCMP_FLTATR_CTL_TSYNC, 1);
    code = code != 0 ? code : seccomp_attr_set(filter, SCMP_FLTATR_CTL_LOG, 1);
    /* Calls of another architecture (32 bits) have other numbers. */
    code =
        code != 0 ? code : seccomp_attr_set(filter, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_KILL_PROCESS);
    code = code != 0 ? code : seccomp_attr_set(filter, SCMP_FLTATR_CTL_OPTIMIZE, AS_A_TREE);
    return code != 0 ? code : seccomp_load(filter);
}

enum err confine_enter(enum confine_mode mode, enum confine_process process, struct err_text *why)
{
    if (mode == CONFINE_OFF || hardening_is_sanitized()) {
        return OK;
    }
    bool enforce = mode == CONFINE_ENFORCE;
    scmp_filter_ctx filter = seccomp_init(enforce ? SCMP_ACT_ERRNO(EPERM) : SCMP_ACT_LOG);
    if (filter == NULL) {
        return err_set(why, ERR_NO_MEMORY, "the system call filter cannot be made");
    }
    int code = load(filter, process, enforce);
    seccomp_release(filter);
    return code == 0 ? OK
                     : err_set(why, ERR_UNAVAILABLE,
                               "the system call filter cannot be set: %s; `security: {seccomp: "
                               "off}` does without",
                               strerror(-code));
}

const char *confine_name(enum confine_mode mode)
{
    if (mode == CONFINE_OFF) {
        return "off";
    }
    if (hardening_is_sanitized()) {
        return "off (sanitizer)";
    }
    return mode == CONFINE_LOG ? "log" : "enforce";
}
