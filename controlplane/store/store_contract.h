/* What every backend of the store must do, as tests: a backend's test gives a way to open a store
 * and runs them all. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_STORE_CONTRACT_H
#define CHAPERONE_CONTROLPLANE_STORE_STORE_CONTRACT_H

#include "controlplane/store/store.h"

struct store_contract {
    /* A store without anything in it. */
    struct store *(*open_empty)(void *context);
    /* Closes it and opens what it kept. */
    struct store *(*reopen)(void *context, struct store *store);
    /* Closes it for good. */
    void (*close)(void *context, struct store *store);
    void *context;
};

/* Runs the tests; the number of those that failed. */
int store_contract_run(const struct store_contract *contract);

#endif
