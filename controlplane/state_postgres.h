/* The store on PostgreSQL, as it is configured. */
#ifndef CHAPERONE_CONTROLPLANE_STATE_POSTGRES_H
#define CHAPERONE_CONTROLPLANE_STATE_POSTGRES_H

#include "controlplane/config.h"
#include "controlplane/store/store.h"

/* As store_open_postgres; `why` says what the configuration calls it, and never the password. */
enum err state_open_postgres(const struct config_store *config, struct bytes content_master,
                             struct store **out, struct err_text *why) MUST_USE;
/* Connects and goes away again. */
enum err state_check_postgres(const struct config_store *config, struct err_text *why) MUST_USE;

#endif
