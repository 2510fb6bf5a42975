#include "cli/replay/screen.h"

#include <errno.h>
#include <poll.h>
#include <termios.h>
#include <unistd.h>

/* The time in the line below goes on also where nothing else happens. */
static const int64_t status_every_ns = 1000000000;

enum { KEYBOARD, SIGNAL, FDS };

static int timeout_ms(int64_t wait_ns, bool has_status)
{
    if (wait_ns < 0) {
        return -1;
    }
    int64_t wait = has_status && wait_ns > status_every_ns ? status_every_ns : wait_ns;
    return (int)((wait + 999999) / 1000000);
}

static enum screen_end play(struct player *player, const struct clock *clock, struct pollfd *fds)
{
    for (;;) {
        int64_t wait = player_turn(player, clock_monotonic(clock));
        if (player_is_over(player)) {
            return SCREEN_OVER;
        }
        int ready = poll(fds, FDS, timeout_ms(wait, fds[KEYBOARD].fd >= 0));
        if (ready < 0 && errno != EINTR) {
            return SCREEN_FAILED;
        }
        if (ready > 0 && fds[SIGNAL].revents != 0) {
            return SCREEN_SIGNAL;
        }
        if (ready > 0 && fds[KEYBOARD].revents != 0) {
            char keys[64];
            ssize_t n = read(fds[KEYBOARD].fd, keys, sizeof(keys));
            if (n <= 0 && errno != EINTR) {
                return SCREEN_SIGNAL; /* the terminal is gone */
            }
            if (n > 0) {
                player_keys(player, bytes_of(keys, (size_t)n), clock_monotonic(clock));
            }
        }
    }
}

enum screen_end screen_run(struct player *player, const struct clock *clock, int keyboard_fd,
                           int signal_fd)
{
    struct termios before;
    bool is_raw = keyboard_fd >= 0 && tcgetattr(keyboard_fd, &before) == 0;
    struct pollfd fds[FDS] = {
        [KEYBOARD] = {.fd = is_raw ? keyboard_fd : -1, .events = POLLIN},
        [SIGNAL] = {.fd = signal_fd, .events = POLLIN},
    };
    if (is_raw) {
        struct termios keys = before;
        keys.c_lflag &= (tcflag_t) ~(ICANON | ECHO);
        keys.c_cc[VMIN] = 1;
        keys.c_cc[VTIME] = 0;
        (void)tcsetattr(keyboard_fd, TCSADRAIN, &keys);
    }
    enum screen_end end = play(player, clock, fds);
    player_clear(player);
    if (is_raw) {
        (void)tcsetattr(keyboard_fd, TCSADRAIN, &before);
    }
    return end;
}
