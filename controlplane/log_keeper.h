/* The keeper of the audit log, made of the configuration: its witnesses, its name. */
#ifndef CHAPERONE_CONTROLPLANE_LOG_KEEPER_H
#define CHAPERONE_CONTROLPLANE_LOG_KEEPER_H

#include "controlplane/audit/journal.h"
#include "controlplane/config.h"
#include "controlplane/tlog/keeper.h"
#include "controlplane/tlog/log_keys.h"

struct log_keeper;

/* Does not begin yet. The store and the log are borrowed; of the configuration all is copied.
 * ERR_INVALID: a witness's key, the origin; ERR_EXISTS: another process keeps this log. Returns
 * owned. */
enum err log_keeper_create(const struct config *config, struct store *store, struct clock clock,
                           const struct log *log, struct log_keeper **out,
                           struct err_text *why) MUST_USE;
/* Findings are recorded in the journal, which is borrowed until stop. */
enum err log_keeper_start(struct log_keeper *keeper, struct journal *journal) MUST_USE;
void log_keeper_stop(struct log_keeper *keeper);    /* takes NULL */
void log_keeper_destroy(struct log_keeper *keeper); /* takes NULL */

struct keeper *log_keeper_of(struct log_keeper *keeper);

/* What the configuration says of it, without opening anything. */
enum err log_keeper_check(const struct config *config, struct err_text *why) MUST_USE;

enum { LOG_KEEPER_FALLBACK_SIZE = 320 };
/* As the commands need it; `fallback` has LOG_KEEPER_FALLBACK_SIZE bytes, which the result borrows.
 */
struct log_keys_options log_keeper_keys(const struct config *config, struct clock clock,
                                        char *fallback);

#endif
