/* Pages that are opened from a disk and show what agents wrote: hostile text. No scripts, nothing
 * from elsewhere, and a policy in the page that says so; every text goes through here. */
#ifndef CHAPERONE_CLI_EVIDENCE_HTML_H
#define CHAPERONE_CLI_EVIDENCE_HTML_H

#include <stdio.h>

#include "base/bytes.h"

enum { HTML_WHOLE = 0 };

/* The page up to its heading, and from its end. */
enum err html_begin(FILE *out, const char *title) MUST_USE;
void html_end(FILE *out);

/* Text without any meaning, also in a quoted attribute: no character reference, no control
 * character, no change of direction. At most `max` characters and an ellipsis; HTML_WHOLE: all. */
void html_text(FILE *out, struct bytes text, size_t max);
static inline void html_string(FILE *out, const char *text)
{
    html_text(out, bytes_of_string(text), HTML_WHOLE);
}

/* <tr><th>…, with the names up to a NULL. */
void html_table_begin(FILE *out, const char *const *columns);
void html_table_end(FILE *out);
/* <td>…</td> */
void html_cell(FILE *out, const char *text);
void html_cell_time(FILE *out, int64_t wall_ns); /* 0: empty */
void html_cell_number(FILE *out, uint64_t value);

#endif
