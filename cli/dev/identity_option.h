/* `--identity sub=NAME,groups=A+B`: whom the development issuer says the agent is. */
#ifndef CHAPERONE_CLI_DEV_IDENTITY_OPTION_H
#define CHAPERONE_CLI_DEV_IDENTITY_OPTION_H

#include "base/bytes.h"

enum { IDENTITY_OPTION_LIST_MAX = 16, IDENTITY_OPTION_TEXT_MAX = 1024 };

struct identity_option {
    char storage[IDENTITY_OPTION_TEXT_MAX]; /* what the others point into */
    const char *subject;
    const char *name;   /* NULL: none */
    const char *reason; /* NULL: none */
    const char *groups[IDENTITY_OPTION_LIST_MAX];
    size_t group_count;
    /* Nearest to the agent first. */
    const char *on_behalf_of[IDENTITY_OPTION_LIST_MAX];
    size_t on_behalf_of_count;
};

/* Keys: sub, groups, name, reason, on_behalf_of; lists with + between. The result must not be
 * moved. Without groups: "agents". ERR_INVALID. */
enum err identity_option_parse(const char *text, struct identity_option *out,
                               struct err_text *error) MUST_USE;

#endif
