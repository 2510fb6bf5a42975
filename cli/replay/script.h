/* A recorded session as it is shown, cut into steps: one for each record, with the time at which it
 * is due. The rendering is that of `audit show`, safe for a terminal. */
#ifndef CHAPERONE_CLI_REPLAY_SCRIPT_H
#define CHAPERONE_CLI_REPLAY_SCRIPT_H

#include "cli/output/terminal.h"
#include "cli/replay/recording.h"

enum { SCRIPT_LABEL_SIZE = 64 };

struct script_step {
    int64_t due_ns;                /* since the first step; never less than the one before */
    struct bytes text;             /* whole lines; valid until the script is destroyed */
    bool is_statement;             /* an intent: where one jumps to */
    char label[SCRIPT_LABEL_SIZE]; /* "#3 SELECT"; of statements */
};

struct script;

/* `idle_limit_ns`: no step waits longer for the one before; 0: none. Of `terminal` only colour and
 * width count. At most `max_rows` of each answer. `*out` is owned. */
enum err script_create(const struct recording *recording, const struct terminal *terminal,
                       size_t max_rows, int64_t idle_limit_ns, struct script **out) MUST_USE;
void script_destroy(struct script *s); /* takes NULL */

/* "#3 SELECT": the name of an intent in the table of contents. */
void script_label(const Chaperone__V1__Intent *intent, char out[SCRIPT_LABEL_SIZE]);

size_t script_count(const struct script *s);
const struct script_step *script_step(const struct script *s, size_t index); /* borrows */

#endif
