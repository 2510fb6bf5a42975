/* Which URLs an issuer may have. Parsing is libcurl's, so that what is checked is what is fetched.
 */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_URL_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_URL_H

#include <stdbool.h>

#include "base/err.h"

/* https, or http to this machine itself (localhost, 127.0.0.0/8, ::1); without user and
 * fragment. ERR_INVALID; `what` names the URL in `why`. */
enum err url_check(const char *url, const char *what, struct err_text *why) MUST_USE;

/* As url_check, and without a query (OpenID Connect Discovery 1.0 section 3: issuer). */
enum err url_check_issuer(const char *url, const char *what, struct err_text *why) MUST_USE;

/* True for http://: only this machine itself passes url_check that way. */
bool url_is_plain(const char *url) MUST_USE;

#endif
