/* `security:` of a configuration, the same in the sidecar's and the control plane's:
 *
 *     security:
 *       user: chaperone       # when started as root; default: stays who it is
 *       seccomp: enforce      # enforce, log, off */
#ifndef CHAPERONE_BASE_HARDENING_SECURITY_H
#define CHAPERONE_BASE_HARDENING_SECURITY_H

#include "base/conf/conf.h"
#include "base/hardening/confine.h"
#include "base/log.h"

struct security {
    const char *user; /* borrows from the configuration; NULL: none */
    enum confine_mode seccomp;
};

/* `root` is the whole document; without the key, `*out` keeps what it is. */
enum err security_read(const struct conf_node *root, struct security *out,
                       struct err_text *why) MUST_USE;

/* What main does: the user, the capabilities (hardening.h: `keep`), the filter. */
enum err security_enter(const struct security *security, enum confine_process process,
                        struct err_text *why) MUST_USE;

/* One line about what is in force; a warning for root, and for a filter that refuses nothing. */
void security_log(const struct security *security, const struct log *log);

#endif
