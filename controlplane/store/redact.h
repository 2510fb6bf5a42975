/* What is in stored messages of a session that is to be erased. Pure. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_REDACT_H
#define CHAPERONE_CONTROLPLANE_STORE_REDACT_H

#include "api/audit.pb-c.h"
#include "base/arena.h"
#include "base/bytes.h"

/* A packed HeldOperation without the statement and all that tells of it: text, parameters, objects,
 * the request, plan, locks, reasons. Who, where and when stay, what was decided and by whom, and
 * the digest. Replaces what is in `out`. Bytes that are no such message: nothing stays. */
enum err redact_held(struct bytes held, struct buffer *out) MUST_USE;

/* What of a record is in the index of words: the text of a statement or a request, what a message
 * says. Borrows; empty: nothing. */
struct bytes redact_text_of(const Chaperone__V1__Record *record);
/* The same of a record's bytes, in the arena. */
enum err redact_find_text(struct bytes canonical, struct arena *arena, struct bytes *out) MUST_USE;

#endif
