/* A person's search text as an expression of SQLite's full-text index (FTS5 section 3). */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_TEXT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_TEXT_H

#include "base/bytes.h"

/* Appends {text} : ("word" "two words" "begin" *) for what store_audit_filter.text says. Nothing of
 * `text` is ever read as an operator of FTS5. ERR_INVALID: there is no word in it. */
enum err sqlite_text_expression(const char *text, struct buffer *out) MUST_USE;

#endif
