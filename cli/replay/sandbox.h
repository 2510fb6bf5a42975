/* The database in which a recorded session is executed again: one connection, one operation after
 * the other, with the recorded texts and parameters. */
#ifndef CHAPERONE_CLI_REPLAY_SANDBOX_H
#define CHAPERONE_CLI_REPLAY_SANDBOX_H

#include "cli/replay/compare.h"

/* Where a URL leads. All owned, but for what it says nothing about: NULL. */
struct sandbox_place {
    char *host, *port, *database, *user;
};

/* Read by libpq itself, so that it means what it means to psql. One host and a database must be
 * named. ERR_INVALID with a sentence that has no password in it. */
enum err sandbox_find_place(const char *url, struct sandbox_place *out,
                            struct err_text *error) MUST_USE;
void sandbox_place_finish(struct sandbox_place *place);

struct sandbox;

/* Settings that would change what a session sees are not taken from the environment (PGOPTIONS,
 * PGTZ, PGDATESTYLE, ...), nor is anything that leads elsewhere. Before there are other threads, or
 * when these do not look at the environment. `signal_fd` (borrowed) interrupts what runs. */
enum err sandbox_open(const char *url, int signal_fd, struct sandbox **out,
                      struct err_text *error) MUST_USE;
void sandbox_close(struct sandbox *s); /* takes NULL */

struct sandbox_end {
    char tag[64];
    char sqlstate[6]; /* "": it succeeded */
    char error[256];
};

/* Its rows go into `comparison`. ERR_CLOSED: a signal, or the connection is lost (`error`). */
enum err sandbox_run(struct sandbox *s, const Chaperone__V1__Intent *intent,
                     enum compare_format format, struct comparison *comparison,
                     struct sandbox_end *out, struct err_text *error) MUST_USE;

/* What a refusal within a transaction does to it; nothing where none is open. */
void sandbox_fail_transaction(struct sandbox *s);

#endif
