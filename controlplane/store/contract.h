/* What the parts of the contract test share. Include cmocka.h before. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_CONTRACT_H
#define CHAPERONE_CONTROLPLANE_STORE_CONTRACT_H

#include "controlplane/store/store_contract.h"
#include "controlplane/store/store_records.h"

/* The state of a test: a store and an arena for its answers. */
struct test {
    const struct store_contract *contract;
    struct store *store;
    struct arena *arena;
};

int contract_setup(void **state);
int contract_teardown(void **state);
#define CONTRACT_TEST(name)                                                                        \
    {                                                                                              \
#name, name, contract_setup, contract_teardown, (void *)(uintptr_t)contract                \
    }

void contract_reopen(struct test *t);
/* Appends records that must be taken. */
void contract_append(struct test *t, const char *sidecar, const struct store_audit_record *records,
                     size_t count);
/* How many records match. */
size_t contract_count(struct test *t, struct store_audit_filter filter);

/* Two sessions of a stream "s1": A is alice's on db1, B is bob's on db2 for carol. Sequences: 1 A
 * opens, 2 B opens, 3 to 7 statements (contract.c lists them), 8 A closes, 9 a heartbeat. */
enum { CONTRACT_RECORDS = 9 };
void contract_fill(struct test *t);

int contract_blobs_run(const struct store_contract *contract);
int contract_configuration_run(const struct store_contract *contract);
int contract_append_run(const struct store_contract *contract);
int contract_approvals_run(const struct store_contract *contract);
int contract_find_run(const struct store_contract *contract);
int contract_hostile_run(const struct store_contract *contract);
int contract_log_run(const struct store_contract *contract);
int contract_retention_run(const struct store_contract *contract);

#endif
