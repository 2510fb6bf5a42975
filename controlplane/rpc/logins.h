/* Which tokens of operators were seen before: the first use of one is a login, which is recorded.
 *
 * Remembers the SHA-256 of the last few thousand tokens, in constant memory; a token that was
 * forgotten, or used before a restart, is a login again. Thread-safe. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_LOGINS_H
#define CHAPERONE_CONTROLPLANE_RPC_LOGINS_H

#include <stdbool.h>

#include "base/bytes.h"

/* An hour's tokens of more people and bots than one control plane has. */
enum { LOGINS_REMEMBERED = 8192 };

struct logins;

struct logins *logins_create(void) MUST_USE; /* returns owned; NULL: no memory */
void logins_destroy(struct logins *logins);  /* takes NULL */

/* True for one call only, until it is forgotten. Verified tokens only: others would push them out.
 */
bool logins_is_first(struct logins *logins, struct bytes token) MUST_USE;
/* Its login was not recorded: the next use of it is one. */
void logins_forget(struct logins *logins, struct bytes token);

#endif
