/* What people asked for, in words: the object of an action in the audit log. Pure.
 *
 * Texts are theirs: they are valid UTF-8 on one line afterwards, and cut where they are long. */
#ifndef CHAPERONE_CONTROLPLANE_RPC_DESCRIBE_H
#define CHAPERONE_CONTROLPLANE_RPC_DESCRIBE_H

#include "api/approvals.pb-c.h"
#include "api/operator.pb-c.h"

enum {
    DESCRIBE_TEXT_MAX = 512, /* of one text, in bytes */
    DESCRIBE_SIZE = 4096,    /* of the whole, with its terminator */
};

/* `identity "agent-7", since 2026-11-21T08:43:00.000000Z, text "salary", kinds intent outcome`;
 * `everything`. */
void describe_search(const Chaperone__V1__SearchRequest *request, char out[DESCRIBE_SIZE]);
/* `waiting, resource "orders"`; `waiting`; `all`. */
void describe_approvals(const Chaperone__V1__ListApprovalsRequest *request,
                        char out[DESCRIBE_SIZE]);
/* The text itself, so that any reader of the record can show it. */
void describe_plain(const char *text, char out[DESCRIBE_SIZE]);
void describe_standing(const Chaperone__V1__ListStandingRequest *request, char out[DESCRIBE_SIZE]);
/* `approval "0192..."`: one text with what it is. */
void describe_one(const char *what, const char *text, char out[DESCRIBE_SIZE]);

#endif
