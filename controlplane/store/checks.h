/* Checks of arguments that the functions of store.h share. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_CHECKS_H
#define CHAPERONE_CONTROLPLANE_STORE_CHECKS_H

#include "controlplane/store/store.h"

static inline bool is_name(const char *name)
{
    return name != NULL && name[0] != '\0' &&
           strnlen(name, STORE_NAME_SIZE_MAX + 1) <= STORE_NAME_SIZE_MAX;
}

/* Numbers are kept as signed 64-bit integers in every backend. */
static inline bool is_storable(uint64_t n)
{
    return n <= INT64_MAX;
}

#endif
