/* The form of POST /token, read by libmicrohttpd, as a request for a token. */
#ifndef CHAPERONE_CLI_ISSUER_FORM_H
#define CHAPERONE_CLI_ISSUER_FORM_H

#include <microhttpd.h>

#include "cli/issuer/issuer.h"

struct form;

enum {
    FORM_VALUE_MAX = 8192,
    FORM_LIST_MAX = 512,
};

/* Returns owned; NULL when the body is no form (or memory is short). */
struct form *form_create(struct MHD_Connection *connection) MUST_USE;
void form_destroy(struct form *f); /* takes NULL */

/* The next bytes of the body. Mistakes are kept for form_finish. */
void form_feed(struct form *f, const char *data, size_t size);

/* What was asked for; borrows from the form. ERR_INVALID: `why` names the field. */
enum err form_finish(struct form *f, struct issuer_token *out, bool *out_plain_text,
                     struct err_text *why) MUST_USE;

#endif
