/* PostgreSQL's protocol version 3 as a `struct protocol`: login on both sides, and every message
 * between an agent and its target (PostgreSQL documentation, chapter "Frontend/Backend Protocol").
 *
 * postgres.c            the object, and which state answers which event
 * postgres_login.c      the agent's startup, the target's login
 * postgres_settings.c   what the startup packet sets is decided as SET
 * postgres_agent.c      what the agent sends: messages become operations
 * postgres_decide.c     the policy's word, the intent
 * postgres_bind.c       Bind, whose values may be streamed
 * postgres_target.c     what the target answers
 * postgres_error.c      its errors, and what is skipped after them
 * postgres_outcome.c    what is recorded of an answer
 * postgres_cancel.c     CancelRequest, on a connection of its own
 * postgres_refuse.c     how a refusal is said without breaking the conversation
 * postgres_names.c      prepared statements and portals
 * postgres_queue.c      what was sent and is not answered yet */
#ifndef CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_H
#define CHAPERONE_SIDECAR_PROTOCOL_POSTGRES_POSTGRES_H

#include "sidecar/protocol/protocol.h"

extern const struct protocol protocol_postgres;

#endif
