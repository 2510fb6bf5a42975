/* The data directory: what both the server and the commands that administer it open.
 *
 *   controlplane.db   the store         credentials.key   what secrets are sealed with
 *   ca/               the CA            policy.key        what policies are signed with
 *   masking.key       what masked values are hashed with
 *   content.key       what the keys of the records' content are encrypted with: without it nobody
 *                     reads the records again
 */
#ifndef CHAPERONE_CONTROLPLANE_STATE_H
#define CHAPERONE_CONTROLPLANE_STATE_H

#include "controlplane/credentials/secret_key.h"
#include "controlplane/credentials/vault.h"
#include "controlplane/store/store.h"

struct state {
    struct store *store;
    struct vault *vault;
    /* Sidecars hash masked values with it: the same everywhere, so that equal values stay equal
     * over sessions and restarts. Who has it can try out which value a hash is of. */
    uint8_t masking_key[SECRET_KEY_SIZE];
};

/* Makes the directory (mode 0700) and what is missing in it. `why` names the file. */
enum err state_open(const char *directory, struct state *out, struct err_text *why) MUST_USE;
void state_close(struct state *state); /* wipes the keys; may be called again */

#endif
