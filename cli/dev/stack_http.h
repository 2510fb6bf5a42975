/* The web services of a development stack: added, taken away, kept. */
#ifndef CHAPERONE_CLI_DEV_STACK_HTTP_H
#define CHAPERONE_CLI_DEV_STACK_HTTP_H

#include <cjson/cJSON.h>

#include "cli/dev/http_option.h"
#include "cli/dev/stack.h"

enum { STACK_HTTP_FILE_SIZE = HTTP_OPTION_NAME_MAX + 16 };

/* Adds it, replaces the one of its name, or takes that one away; and so its secret's file.
 * ERR_LIMIT, ERR_IO. */
enum err stack_http_apply(struct stack *s, const struct http_option *option,
                          struct err_text *error) MUST_USE;
void stack_http_finish(struct stack_http *h);
/* "http.NAME.secret" */
void stack_http_file(const struct stack_http *h, char out[STACK_HTTP_FILE_SIZE]);

/* `http` of dev.json: read, and added. */
enum err stack_http_read(struct stack *s, const cJSON *saved) MUST_USE;
bool stack_http_add(const struct stack *s, cJSON *saved) MUST_USE;

#endif
