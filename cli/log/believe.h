/* Whether what a control plane says of its log is to be believed: signed with a key that is known,
 * and consistent with what was kept. Pure but for the question for a proof. */
#ifndef CHAPERONE_CLI_LOG_BELIEVE_H
#define CHAPERONE_CLI_LOG_BELIEVE_H

#include "api/log.pb-c.h"
#include "cli/log/kept.h"

/* Asks the control plane for the proof from the smaller tree to the larger one. OK: `out` is to be
 * checked yet. */
typedef enum err believe_prove_fn(void *context, uint64_t from, uint64_t to,
                                  struct tlog_proof *out);

struct believe_result {
    struct tlog_checkpoint checkpoint; /* borrows from the answer's note */
    size_t witnesses;                  /* of those that the control plane names */
    bool is_first;                     /* nothing was kept: trusted as it was seen */
};

/* ERR_DENIED: an alarm; the sentence says what contradicts what. ERR_INVALID: no checkpoint.
 * Others: the proof could not be had. On OK, `kept` is what to keep now: new keys are kept when a
 * known one signed the same checkpoint. */
enum err believe_checkpoint(struct kept_log *kept, const Chaperone__V1__Checkpoint *answer,
                            believe_prove_fn *prove, void *context, struct believe_result *out,
                            struct err_text *why) MUST_USE;

#endif
