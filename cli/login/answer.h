/* What authorization servers answer, read strictly. Pure: no I/O, no clock.
 *
 * All of it is an outsider's: anything but what is expected is ERR_INVALID, with a sentence that
 * never quotes a secret. Texts are valid until the matching finish, which wipes what was secret. */
#ifndef CHAPERONE_CLI_LOGIN_ANSWER_H
#define CHAPERONE_CLI_LOGIN_ANSWER_H

#include <cjson/cJSON.h>

#include "base/bytes.h"

/* ---- the discovery document (OpenID Connect Discovery 1.0 section 3, RFC 8414, RFC 8628) ---- */

struct login_server {
    cJSON *document;
    const char *issuer;
    const char *authorization, *device, *revocation; /* endpoints; NULL: not offered */
    const char *token;
    bool names_itself; /* its redirects carry `iss` (RFC 9207) */
};

/* The document must be of `issuer`, byte for byte; endpoints are https, or http on this machine. */
enum err login_server_parse(struct bytes document, const char *issuer, struct login_server *out,
                            struct err_text *why) MUST_USE;
void login_server_finish(struct login_server *s);

/* True when the list of that name in the document has the value; `otherwise` when there is no such
 * list. */
bool login_server_offers(const struct login_server *s, const char *list, const char *value,
                         bool otherwise);

/* ---- the token endpoint (RFC 6749 section 5.1) ------------------------------------------------
 */

struct login_tokens {
    char *id_token, *access_token, *refresh_token; /* owned; NULL: not there */
    int64_t lifetime_s;                            /* of the access token; 0: not said */
};

enum err login_tokens_parse(struct bytes text, struct login_tokens *out,
                            struct err_text *why) MUST_USE;
void login_tokens_finish(struct login_tokens *t);

/* ---- the device authorization endpoint (RFC 8628 section 3.2) ---------------------------------
 */

enum { LOGIN_INTERVAL_DEFAULT_S = 5, LOGIN_INTERVAL_MAX_S = 60, LOGIN_DEVICE_MAX_S = 3600 };

struct login_device {
    char *device_code;              /* owned, a secret */
    char *user_code, *uri;          /* owned */
    char *uri_complete;             /* owned; NULL: not there */
    int64_t lifetime_s, interval_s; /* within the limits above */
};

enum err login_device_parse(struct bytes text, struct login_device *out,
                            struct err_text *why) MUST_USE;
void login_device_finish(struct login_device *d);

/* ---- errors (RFC 6749 section 5.2) ------------------------------------------------------------
 */

struct login_refusal {
    char code[64];         /* "invalid_grant"; "" when it is no such document */
    char description[256]; /* "" when not said */
};

/* Printable whatever was in it. */
void login_refusal_parse(struct bytes text, struct login_refusal *out);

#endif
