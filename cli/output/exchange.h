/* A recorded HTTP exchange, shown: request, response, messages of a stream.
 *
 * What the agent sent stands behind "> ", what it got behind "< ", each on lines of its own, so
 * that nothing in a body can look like what this command says of it. JSON is laid out on several
 * lines; what is no text is only counted, and for an approver in hexadecimal. All of it is made
 * safe for a terminal (text.h). */
#ifndef CHAPERONE_CLI_OUTPUT_EXCHANGE_H
#define CHAPERONE_CLI_OUTPUT_EXCHANGE_H

#include "cli/output/terminal.h"
#include "formats/record.h"

#define EXCHANGE_LINES_ALL SIZE_MAX

/* Whether the text of an intent is what the first line of its request shows. */
bool exchange_shows_text(const Chaperone__V1__Intent *intent);
/* `max_lines`: shown of each body. `indent`: blanks before each line. */
void exchange_print_request(const struct terminal *t, const Chaperone__V1__HttpRequest *request,
                            size_t max_lines, size_t indent);
/* Of an outcome that has one. */
void exchange_print_response(const struct terminal *t, const Chaperone__V1__Outcome *outcome,
                             size_t max_lines, size_t indent);
/* What it says; the line above says whose it is. */
void exchange_print_message(const struct terminal *t, const Chaperone__V1__Message *message,
                            size_t max_lines, size_t indent);

#endif
