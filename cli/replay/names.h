/* The prepared statements that a replay has made: name and text. */
#ifndef CHAPERONE_CLI_REPLAY_NAMES_H
#define CHAPERONE_CLI_REPLAY_NAMES_H

#include "base/bytes.h"

struct names_item {
    char *name, *text;
};

struct names {
    struct names_item *items;
    size_t count;
};

/* `text` NULL: any. */
bool names_has(const struct names *n, const char *name, const char *text);
/* Copies; in the place of one of this name. */
enum err names_put(struct names *n, const char *name, const char *text) MUST_USE;
/* Forgets all; it may be used again. */
void names_finish(struct names *n);

#endif
