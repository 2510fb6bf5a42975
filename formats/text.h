/* Text that an agent or a database wrote, made safe to show.
 *
 * Statements and values may hold anything: escape sequences that rewrite a terminal, characters
 * that reverse the reading direction, bytes that are no UTF-8. What is shown here is always
 * valid UTF-8 (RFC 3629) without control characters: they become `\n`, `\x1b`, `\u202e`; bytes that
 * are no UTF-8 become U+FFFD. Pure but for the writing. */
#ifndef CHAPERONE_FORMATS_TEXT_H
#define CHAPERONE_FORMATS_TEXT_H

#include <stdio.h>

#include "base/bytes.h"

enum text_spaces {
    TEXT_ESCAPED,  /* line breaks and tabs as \n and \t: one line, nothing lost */
    TEXT_SQUEEZED, /* every run of white space as one space: one line, for tables */
    TEXT_LINES,    /* line breaks and tabs as they are */
};

/* One piece of what is shown: a character, or the escape that stands for it. */
struct text_unit {
    char bytes[12];
    size_t size;    /* bytes */
    size_t columns; /* on a terminal */
};

/* Takes the next unit from the front of `*rest`; false at the end. */
bool text_next(struct bytes *rest, enum text_spaces spaces, struct text_unit *out);

void text_write(FILE *out, struct bytes text, enum text_spaces spaces);
/* At most `columns` wide, an ellipsis for what was cut. Returns the columns written. */
size_t text_write_cut(FILE *out, struct bytes text, enum text_spaces spaces, size_t columns);
size_t text_columns(struct bytes text, enum text_spaces spaces);

/* The bytes of the well-formed UTF-8 character at the front of `text`, which is not empty; 0: there
 * is none (RFC 3629 section 4). */
size_t text_character_size(struct bytes text);

/* Each line of the text, indented. */
void text_write_indented(FILE *out, struct bytes text, size_t indent);

/* The same characters as valid UTF-8, for JSON: control characters stay (JSON escapes them),
 * NUL and what is no UTF-8 become U+FFFD. Returns owned; NULL when memory is short. */
char *text_to_utf8(struct bytes text) MUST_USE;

/* Writes printed JSON so that it cannot rewrite a terminal: characters that JSON leaves as they
 * are but a terminal obeys (DEL, C1, direction overrides) are written as \uXXXX, which means
 * the same. They stand in strings only, elsewhere JSON has none. */
void text_write_json(FILE *out, const char *json);

#endif
