/* Runs a player on the real keyboard and clock, until it is over or a signal comes. */
#ifndef CHAPERONE_CLI_REPLAY_SCREEN_H
#define CHAPERONE_CLI_REPLAY_SCREEN_H

#include "base/clock.h"
#include "cli/replay/player.h"

enum screen_end { SCREEN_OVER, SCREEN_SIGNAL, SCREEN_FAILED };

/* `signal_fd` (borrowed) becomes readable when it should give up. `keyboard_fd` (borrowed; -1:
 * none) is a terminal, which gives keys one by one meanwhile and is set back in the end. */
enum screen_end screen_run(struct player *player, const struct clock *clock, int keyboard_fd,
                           int signal_fd) MUST_USE;

#endif
