/* Which database user and which database a session of the audit works as. */
#ifndef CHAPERONE_CLI_RECONCILE_SESSIONS_H
#define CHAPERONE_CLI_RECONCILE_SESSIONS_H

#include "base/bytes.h"

enum { SESSIONS_MAX = 1 << 20, SESSIONS_NAME_SIZE = 64 }; /* PostgreSQL's names have 63 bytes */

struct session_names {
    char user[SESSIONS_NAME_SIZE], database[SESSIONS_NAME_SIZE];
};

struct sessions;

struct sessions *sessions_create(void) MUST_USE; /* returns owned; NULL: no memory */
void sessions_destroy(struct sessions *s);       /* takes NULL */

/* Sidecars name their sessions themselves: `stream` says whose it is. ERR_LIMIT, ERR_NO_MEMORY. */
enum err sessions_add(struct sessions *s, const char *stream, const char *session, const char *user,
                      const char *database) MUST_USE;
/* NULL: not known. Valid as long as the object. */
const struct session_names *sessions_find(const struct sessions *s, const char *stream,
                                          const char *session);

#endif
