/* Which policy may be used: verifies what arrives, keeps the last good one on the disk, and never
 * goes back to an older revision.
 *
 * The key that signs policies is pinned when the first one arrives, over mutual TLS (file
 * policy.key in the state directory; who changes the key on purpose removes it). Thread-safe. */
#ifndef CHAPERONE_SIDECAR_CONTROL_POLICY_KEEPER_H
#define CHAPERONE_SIDECAR_CONTROL_POLICY_KEEPER_H

#include "api/sidecar.pb-c.h"
#include "base/err.h"
#include "base/log.h"

struct policy;
struct policy_keeper;

enum { POLICY_BUNDLE_CAP = 16 << 20 };

/* Borrows the directory and the log. Returns owned. */
enum err policy_keeper_create(int dir, const struct log *log, struct policy_keeper **out) MUST_USE;
void policy_keeper_destroy(struct policy_keeper *keeper); /* takes NULL */

/* The policy on the disk. ERR_NOT_FOUND: none; otherwise logged. `*out` is owned by the caller. */
enum err policy_keeper_load(struct policy_keeper *keeper, struct policy **out,
                            uint64_t *out_revision) MUST_USE;

/* A bundle that was pushed. OK: `*out` is owned by the caller, and NULL when it is the one in use
 * already. ERR_DENIED (signature, key, older revision) or ERR_INVALID (does not compile): `why`
 * goes back to the control plane. */
enum err policy_keeper_take(struct policy_keeper *keeper, const Chaperone__V1__PolicyBundle *bundle,
                            struct policy **out, struct err_text *why) MUST_USE;

#endif
