/* The system calls that a process may still make, by seccomp(2).
 *
 * What a process needs is allowed; what only an intruder would want (another program, another
 * process's memory, the kernel's keys and modules, namespaces, io_uring) ends the process; all else
 * fails with EPERM. Arguments are looked at where a call serves both: threads but no processes,
 * no memory that is written and run, signals and limits for nobody else, only the address families
 * that are used.
 *
 * Files can still be opened and connections made: that is what the processes do. */
#ifndef CHAPERONE_BASE_HARDENING_CONFINE_H
#define CHAPERONE_BASE_HARDENING_CONFINE_H

#include "base/err.h"

enum confine_mode {
    CONFINE_ENFORCE, /* the default: zero */
    CONFINE_LOG,     /* nothing is refused; the kernel's log names what would be */
    CONFINE_OFF,
};

enum confine_process { CONFINE_SIDECAR, CONFINE_CONTROLPLANE };

/* For all threads of the process, those to come among them, and forever. Sets no_new_privs. Under
 * a sanitizer it does nothing. ERR_UNAVAILABLE: the kernel has no seccomp; nothing is changed. */
enum err confine_enter(enum confine_mode mode, enum confine_process process,
                       struct err_text *why) MUST_USE;

/* What is in force after confine_enter(mode): "enforce", "log", "off", "off (sanitizer)". */
const char *confine_name(enum confine_mode mode);

#endif
