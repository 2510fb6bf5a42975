#include "base/hardening/security.h"

#include <linux/capability.h>
#include <sys/prctl.h>
#include <unistd.h>

#include "base/hardening/hardening.h"

enum err security_read(const struct conf_node *root, struct security *out, struct err_text *why)
{
    static const char *const keys[] = {"user", "seccomp", NULL};
    static const struct conf_choice modes[] = {
        {"enforce", CONFINE_ENFORCE}, {"log", CONFINE_LOG}, {"off", CONFINE_OFF}, {0}};
    const struct conf_node *n = NULL;
    const char *user = out->user;
    int mode = (int)out->seccomp;
    enum err e = conf_read_map(root, "security", &n, why);
    if (e == OK && n != NULL && (e = conf_check_keys(n, keys, why)) == OK &&
        (e = conf_read_string(n, "user", &user, why)) == OK) {
        e = conf_read_choice(n, "seccomp", modes, &mode, why);
    }
    if (e == OK) {
        *out = (struct security){.user = user, .seccomp = (enum confine_mode)mode};
    }
    return e;
}

static uint64_t bit(int capability)
{
    return UINT64_C(1) << capability;
}

/* What the processes can use: a port below 1024; and the sidecar looks up which process of which
 * user has connected (sidecar/peer.h). */
static uint64_t capabilities_of(enum confine_process process)
{
    uint64_t port = bit(CAP_NET_BIND_SERVICE);
    return process == CONFINE_SIDECAR ? port | bit(CAP_SYS_PTRACE) | bit(CAP_DAC_READ_SEARCH)
                                      : port;
}

enum err security_enter(const struct security *security, enum confine_process process,
                        struct err_text *why)
{
    const struct hardening_options options = {.user = security->user,
                                              .keep = capabilities_of(process)};
    enum err e = hardening_drop(&options, why);
    return e == OK ? confine_enter(security->seccomp, process, why) : e;
}

void security_log(const struct security *security, const struct log *log)
{
    char capabilities[HARDENING_CAPABILITIES_SIZE];
    hardening_capabilities(capabilities);
    log_event(log, LOG_INFO, "hardened", log_number("uid", (int64_t)geteuid()),
              log_text("capabilities", capabilities),
              log_text("seccomp", confine_name(security->seccomp)),
              log_number("no_new_privs", prctl(PR_GET_NO_NEW_PRIVS, 0, 0, 0, 0)),
              log_number("dumpable", prctl(PR_GET_DUMPABLE, 0, 0, 0, 0)));
    if (geteuid() == 0) {
        log_event(log, LOG_WARN, "runs_as_root",
                  log_text("advice", "security: {user: NAME} gives that up"));
    }
    if (security->seccomp != CONFINE_ENFORCE) {
        log_event(log, LOG_WARN, "system_calls_not_confined",
                  log_text("seccomp", confine_name(security->seccomp)));
    }
}
