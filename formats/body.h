/* The recorded body of an HTTP message: what it is, and JSON on several lines, for people.
 *
 * Bodies are anybody's bytes. Nothing here changes a byte that means something: JSON gets white
 * space between its tokens (RFC 8259 section 2), and numbers keep their digits. Pure. */
#ifndef CHAPERONE_FORMATS_BODY_H
#define CHAPERONE_FORMATS_BODY_H

#include "base/bytes.h"

enum body_form { BODY_EMPTY, BODY_TEXT, BODY_JSON, BODY_BINARY };

/* What it looks like, whatever its head says. `is_truncated`: its end is missing, which may be in
 * the middle of a character. Text is UTF-8 without NUL: who shows it makes its control characters
 * visible, and one of them must not hide all the rest. */
enum body_form body_form_of(struct bytes body, bool is_truncated);

/* Appends it with a line for each member and item, indented. ERR_LIMIT: the buffer's cap. What is
 * no JSON after all gets its white space somewhere. */
enum err body_append_indented(struct bytes json, struct buffer *out) MUST_USE;

#endif
