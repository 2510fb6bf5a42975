/* What the commands about ending sessions have in common. */
#ifndef CHAPERONE_CLI_COMMAND_SESSION_H
#define CHAPERONE_CLI_COMMAND_SESSION_H

#include "api/operator.pb-c.h"
#include "cli/options.h"
#include "formats/json.h"

/* Exactly one of the four. Borrows from the options. */
struct session_what {
    const char *id; /* the argument: a session, or a block */
    const char *identity, *resource;
    bool all;
};

/* ERR_NOT_FOUND: not exactly one; ERR_INVALID: one is empty, `error` says so. */
enum err session_what_read(const struct options *options, struct session_what *out,
                           struct err_text *error) MUST_USE;

void session_add_block(struct json *j, cJSON *to, const Chaperone__V1__Block *block);

#endif
