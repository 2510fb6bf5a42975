/* How far a long piece of work is, on one line of a terminal; nothing elsewhere. */
#ifndef CHAPERONE_CLI_EVIDENCE_PROGRESS_H
#define CHAPERONE_CLI_EVIDENCE_PROGRESS_H

#include "base/clock.h"
#include "cli/output/terminal.h"

struct progress {
    struct terminal terminal;
    struct clock clock;
    const char *what; /* "receiving"; borrowed */
    int64_t began_ns, shown_ns;
    bool is_shown;
};

/* A new piece of work: the line begins anew. */
void progress_start(struct progress *p, const struct terminal *terminal, const struct clock *clock,
                    const char *what);
/* Writes at most ten times a second. */
void progress_show(struct progress *p, uint64_t done, uint64_t total);
/* Takes the line away. */
void progress_end(struct progress *p);

#endif
