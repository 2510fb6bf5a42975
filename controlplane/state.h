/* The store and the data directory: what both the server and the commands that administer it open.
 *
 *   controlplane.db   the store, where it is SQLite
 *   credentials.key   what secrets are sealed with
 *   ca/               the CA            policy.key        what policies are signed with
 *   masking.key       what masked values are hashed with
 *   content.key       what the keys of the records' content are encrypted with: without it nobody
 *                     reads the records again
 */
#ifndef CHAPERONE_CONTROLPLANE_STATE_H
#define CHAPERONE_CONTROLPLANE_STATE_H

#include "controlplane/config.h"
#include "controlplane/credentials/secret_key.h"
#include "controlplane/credentials/vault.h"
#include "controlplane/store/store.h"

struct state {
    struct store *store;
    struct vault *vault;
    /* Sidecars hash masked values with it: the same everywhere, so that equal values stay equal
     * over sessions and restarts. Who has it can try out which value a hash is of.
     * SECRET_KEY_SIZE bytes of locked memory. */
    uint8_t *masking_key;
};

/* Makes the directory (mode 0700) and what is missing in it. `why` names the file. The store is the
 * one that is configured; NULL: SQLite. `progress` of converting it; may be NULL. ERR_INVALID, too:
 * a key of this directory is not the one that the other control planes on a shared store have. */
enum err state_open(const char *directory, const struct config_store *store,
                    const struct store_progress *progress, struct state *out,
                    struct err_text *why) MUST_USE;
void state_close(struct state *state); /* wipes the keys; may be called again */

/* Whether the configured store can be reached; changes nothing. */
enum err state_check(const struct config_store *store, struct err_text *why) MUST_USE;

/* Control planes that share a store must have the same keys: the first one's are remembered in the
 * store, as hashes of which nothing can be learnt. ERR_INVALID: `path` is another key. With a store
 * that is not shared nothing is remembered. */
enum err state_check_key(const struct config_store *store, struct store *at, const char *path,
                         const char *label, struct err_text *why) MUST_USE;

#endif
