/* The inside of the composed control plane, shared by its files:
 *
 *   server.c         its life: start and stop, the listener, what is looked at now and then
 *   server_open.c    opening all that it is made of
 *   server_apply.c   what of a configuration is written to the store: its lists, its policy
 *   server_reload.c  a changed configuration, while it runs */
#ifndef CHAPERONE_CONTROLPLANE_SERVER_INTERNAL_H
#define CHAPERONE_CONTROLPLANE_SERVER_INTERNAL_H

#include "controlplane/listener.h"
#include "controlplane/log_keeper.h"
#include "controlplane/outbound.h"
#include "controlplane/retention/retention.h"
#include "controlplane/server.h"
#include "controlplane/state.h"

struct server {
    struct server_options with;
    struct snapshot *snapshot; /* the one in force; the services hold their own */
    struct journal *journal;   /* until there are services, which have another one */
    struct state state;
    struct ca *ca;
    struct buffer server_ca_pem;
    struct publisher *publisher;
    struct audit_feed *feed;
    struct log_keeper *log_keeper;
    struct outbound *outbound;
    struct services *services;
    struct retention *retention;
    struct rpc_runtime *runtime;
    struct listener *listener; /* NULL for as long as the port cannot be had again */
    int port;                  /* of the first listener, and so of all that follow */
    char *port_file;           /* NULL: none was written */
};

static inline const struct config *server_config(const struct server *s)
{
    return snapshot_config(s->snapshot);
}

/* server.c. Says in the log what cannot be done with the configuration in force. */
void server_warn_of_gaps(const struct server *s);

/* server_open.c. All but the listener, from the configuration in force. On failure what was opened
 * stays for server_stop. */
enum err server_open(struct server *s, struct err_text *why) MUST_USE;

/* server_apply.c. What applied_store says, with its errors; `before` is NULL at a start. */
enum err server_apply_lists(struct server *s, const struct config *config, const char *action,
                            const struct config *before, struct err_text *why) MUST_USE;
/* The policy of `config`; a new revision is recorded. ERR_INVALID: `why` says what is wrong with
 * it. */
enum err server_publish(struct server *s, const struct config *config,
                        struct err_text *why) MUST_USE;

#endif
