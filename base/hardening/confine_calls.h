/* The lists of confine.c: which system calls are needed, and which end the process. The numbers are
 * libseccomp's. */
#ifndef CHAPERONE_BASE_HARDENING_CONFINE_CALLS_H
#define CHAPERONE_BASE_HARDENING_CONFINE_CALLS_H

#include <stddef.h>

struct confine_calls {
    const int *calls; /* static */
    size_t count;
};

struct confine_calls confine_calls_common(void);
struct confine_calls confine_calls_sidecar(void);
struct confine_calls confine_calls_controlplane(void);
struct confine_calls confine_calls_fatal(void);

#endif
