/* A person's search text, taken apart. */
#ifndef CHAPERONE_CONTROLPLANE_STORE_SQLITE_TEXT_H
#define CHAPERONE_CONTROLPLANE_STORE_SQLITE_TEXT_H

#include "base/bytes.h"

/* Takes the next run of `*in` with a word in it: its words stand together, and the last one is a
 * beginning where `*out_is_prefix`. False: there is no more. Quotes in a run only part words. */
bool sqlite_text_phrase_next(struct bytes *in, struct bytes *out_run, bool *out_is_prefix);

#endif
