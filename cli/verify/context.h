/* What explains the records in a package: the policies that were in force, and the sidecars with
 * the keys of their heartbeats. */
#ifndef CHAPERONE_CLI_VERIFY_CONTEXT_H
#define CHAPERONE_CLI_VERIFY_CONTEXT_H

#include "cli/verify/kept.h"
#include "cli/verify/report.h"

struct context;

/* Checks policies/ and reads sidecars.json; what is wrong is reported. Borrows nothing. Returns
 * owned; NULL when memory is short. */
struct context *context_create(const struct kept *kept, struct report *report) MUST_USE;
void context_destroy(struct context *c); /* takes NULL */

uint64_t context_policies(const struct context *c);
uint64_t context_sidecars(const struct context *c);
/* As records.h asks; `context` is a struct context. */
bool context_has_policy(void *context, const char *hash);
bool context_has_key(void *context, const char *stream, const uint8_t key_hash[32],
                     bool *out_known);

#endif
