/* Where output goes: a person's terminal, or a pipe or file.
 *
 * Colours, headings and cut columns are for terminals only; a pipe gets the whole text, one
 * line for each thing, so that it can be cut, sorted and compared. NO_COLOR (no-color.org) and
 * TERM=dumb switch the colours off. */
#ifndef CHAPERONE_CLI_OUTPUT_TERMINAL_H
#define CHAPERONE_CLI_OUTPUT_TERMINAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdio.h>

struct terminal {
    FILE *out; /* borrows */
    bool is_terminal;
    bool colour;
    size_t width; /* columns; 0: not limited */
};

enum style { STYLE_PLAIN, STYLE_HEADING, STYLE_GOOD, STYLE_BAD, STYLE_WARNING, STYLE_DIM };

/* Looks at the file, NO_COLOR, TERM, COLUMNS. */
struct terminal terminal_of(FILE *out);

/* Switches to a style; STYLE_PLAIN switches back. Nothing is written without colour. */
void terminal_style(const struct terminal *t, enum style style);

#endif
