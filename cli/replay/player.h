/* Plays a script on a terminal, or plainly into a pipe: what is due is written, keys steer.
 *
 *     space            pause, and go on
 *     right, left      to the next statement, back to the one before
 *     / TEXT enter, n  to the next step with TEXT; letters match in either case
 *     + -              faster, slower
 *     q                end
 *
 * The moment and the keys are passed in; it never waits. */
#ifndef CHAPERONE_CLI_REPLAY_PLAYER_H
#define CHAPERONE_CLI_REPLAY_PLAYER_H

#include "cli/output/terminal.h"
#include "cli/replay/script.h"

struct player;

/* Borrows the script. On a terminal there is a line about where it stands below what is shown.
 * `speed` as of pace.h. Returns owned; NULL when memory is short. */
struct player *player_create(const struct script *script, const struct terminal *terminal,
                             double speed, int64_t now_ns) MUST_USE;
/* Takes NULL. */
void player_destroy(struct player *p);

/* Writes what is due by now. Returns the nanoseconds until there is more; -1: not before a key. */
int64_t player_turn(struct player *p, int64_t now_ns);
/* Bytes from the keyboard, cut anywhere. Then it is time for a turn. */
void player_keys(struct player *p, struct bytes keys, int64_t now_ns);
/* The end is reached, or q was pressed. */
bool player_is_over(const struct player *p);
/* Takes the line about where it stands away; before the process ends. */
void player_clear(struct player *p);

#endif
