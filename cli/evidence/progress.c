#include "cli/evidence/progress.h"

#include <inttypes.h>

enum { BAR = 24, PAUSE_NS = 100000000, SECOND_NS = 1000000000, HUNDRED = 100, LEFT_MAX_S = 86400 };

void progress_start(struct progress *p, const struct terminal *terminal, const struct clock *clock,
                    const char *what)
{
    *p = (struct progress){
        .terminal = *terminal, .clock = *clock, .what = what, .began_ns = clock_monotonic(clock)};
}

static void put_left(FILE *out, uint64_t left, double rate)
{
    double seconds = (double)left / rate;
    if (seconds < LEFT_MAX_S) {
        (void)fprintf(out, "  %d:%02d left", (int)seconds / 60, (int)seconds % 60);
    }
}

static void put_line(FILE *out, const struct progress *p, uint64_t done, uint64_t total,
                     double rate)
{
    static const char full[] = "########################", none[] = "........................";
    int filled = total == 0 ? 0 : (int)(done * BAR / total);
    (void)fprintf(out, "\r\x1b[K%s [%.*s%.*s] %3d%%  %" PRIu64 " of %" PRIu64 "  %.0f/s", p->what,
                  filled, full, BAR - filled, none, total == 0 ? 0 : (int)(done * HUNDRED / total),
                  done, total, rate);
    if (rate > 0 && done < total) {
        put_left(out, total - done, rate);
    }
    (void)fflush(out);
}

void progress_show(struct progress *p, uint64_t done, uint64_t total)
{
    if (!p->terminal.is_terminal) {
        return;
    }
    int64_t now = clock_monotonic(&p->clock);
    done = done > total ? total : done;
    if (now - p->shown_ns < PAUSE_NS) {
        return;
    }
    p->shown_ns = now;
    p->is_shown = true;
    double seconds = (double)(now - p->began_ns) / SECOND_NS;
    put_line(p->terminal.out, p, done, total, seconds > 0 ? (double)done / seconds : 0);
}

void progress_end(struct progress *p)
{
    if (p->is_shown) {
        (void)fputs("\r\x1b[K", p->terminal.out);
        (void)fflush(p->terminal.out);
        p->is_shown = false;
    }
}
