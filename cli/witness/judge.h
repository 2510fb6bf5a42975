/* Whether a witness signs a checkpoint, by what it signed last of this log
 * (https://c2sp.org/tlog-witness, add-checkpoint). Pure. Whose checkpoint it is was verified
 * before.
 */
#ifndef CHAPERONE_CLI_WITNESS_JUDGE_H
#define CHAPERONE_CLI_WITNESS_JUDGE_H

#include "base/tlog/checkpoint.h"
#include "base/tlog/witness_request.h"

/* What was signed last. A log that was never seen has the empty tree. */
struct witness_seen {
    uint64_t size;
    struct tlog_hash root;
};

enum witness_verdict {
    WITNESS_SIGNS,
    WITNESS_IMPOSSIBLE, /* 400: the size before is larger than the size */
    WITNESS_CONFLICT,   /* 409: it has seen another size than was said */
    WITNESS_FORK,       /* 409: at this size it has seen another tree: the log signed both */
    WITNESS_UNPROVED,   /* 422: the proof does not lead from what it has seen to this tree */
};

void witness_seen_nothing(struct witness_seen *out);

enum witness_verdict witness_judge(const struct witness_seen *seen,
                                   const struct tlog_witness_request *request,
                                   const struct tlog_checkpoint *checkpoint);

#endif
