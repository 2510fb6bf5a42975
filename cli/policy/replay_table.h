/* The changes that a replay found: each once, with how often. */
#ifndef CHAPERONE_CLI_POLICY_REPLAY_TABLE_H
#define CHAPERONE_CLI_POLICY_REPLAY_TABLE_H

#include "cli/policy/replay.h"

struct replay_table;

struct replay_table *replay_table_create(void) MUST_USE; /* returns owned; NULL: no memory */
void replay_table_destroy(struct replay_table *t);       /* takes NULL */

/* Counts one; copies what it keeps. `count` of `like` is ignored. ERR_LIMIT: REPLAY_CHANGES_MAX
 * others are there already. */
enum err replay_table_add(struct replay_table *t, const struct replay_change *like) MUST_USE;

/* The most frequent first; valid until the next replay_table_add. ERR_NO_MEMORY. */
enum err replay_table_sort(struct replay_table *t, const struct replay_change *const **out,
                           size_t *out_count) MUST_USE;

#endif
