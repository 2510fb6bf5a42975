/* A session as a conversation: `audit show`. Records come in the order of their sequence; memory
 * grows only with the operations that wait for their outcome. */
#ifndef CHAPERONE_CLI_OUTPUT_TRANSCRIPT_H
#define CHAPERONE_CLI_OUTPUT_TRANSCRIPT_H

#include "cli/output/terminal.h"
#include "formats/record.h"

struct transcript;

/* `max_rows`: rows shown of each answer, and eight times as many lines of each body of HTTP.
 * Returns owned; NULL when memory is short. */
struct transcript *transcript_create(const struct terminal *terminal, size_t max_rows) MUST_USE;
void transcript_destroy(struct transcript *t); /* takes NULL */

enum err transcript_add(struct transcript *t, const struct record_view *v) MUST_USE;
/* After the last record: names the operations without an outcome, which is never a success. */
void transcript_end(struct transcript *t);
/* The same where not the whole session was shown: nothing is said of its end. */
void transcript_end_part(struct transcript *t);

#endif
