/* Logins that are kept: one file for each control plane, below XDG_STATE_HOME/chaperone/logins
 * (~/.local/state), readable by its owner only and written atomically: there is the old login or
 * the new one, whenever the machine stops. */
#ifndef CHAPERONE_CLI_LOGIN_STORE_H
#define CHAPERONE_CLI_LOGIN_STORE_H

#include "base/bytes.h"

struct login_stored {
    char *server; /* "HOST:PORT": the control plane that the token is for, and nobody else's */
    char *issuer, *client_id;
    char *ca_file;        /* of the issuer, absolute; NULL: the system's roots */
    char *audience;       /* NULL: not said */
    bool is_access;       /* `token` is the access token, not the ID token */
    char *token;          /* a secret */
    char *refresh_token;  /* a secret; NULL: none was given */
    char *subject, *name; /* "": not known */
    int64_t expires_ns;   /* of `token`; 0: not known */
};

/* Wipes. */
void login_stored_finish(struct login_stored *s);

/* ERR_NOT_FOUND; ERR_DENIED: others may read the file; ERR_INVALID; ERR_IO. */
enum err login_store_read(const char *server, struct login_stored *out,
                          struct err_text *why) MUST_USE;
enum err login_store_write(const struct login_stored *s, struct err_text *why) MUST_USE;
/* ERR_NOT_FOUND: there was none. */
enum err login_store_remove(const char *server, struct err_text *why) MUST_USE;

/* While it is held, nobody else refreshes: a refresh token may be usable once only. Waits for it.
 * `*out_fd` is owned: close gives the lock back. */
enum err login_store_lock(int *out_fd, struct err_text *why) MUST_USE;

#endif
