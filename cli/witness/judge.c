#include "cli/witness/judge.h"

void witness_seen_nothing(struct witness_seen *out)
{
    out->size = 0;
    crypto_sha256_of((struct bytes){0}, out->root.bytes);
}

enum witness_verdict witness_judge(const struct witness_seen *seen,
                                   const struct tlog_witness_request *request,
                                   const struct tlog_checkpoint *checkpoint)
{
    if (request->old_size > checkpoint->size) {
        return WITNESS_IMPOSSIBLE;
    }
    /* Two trees of one size, whatever else was said: that is what a witness is there for. */
    if (checkpoint->size == seen->size && !tlog_hash_equal(&checkpoint->root, &seen->root)) {
        return WITNESS_FORK;
    }
    if (request->old_size != seen->size) {
        return WITNESS_CONFLICT;
    }
    return tlog_tree_check_consistency(&request->proof, checkpoint->size, seen->size,
                                       &checkpoint->root, &seen->root)
               ? WITNESS_SIGNS
               : WITNESS_UNPROVED;
}
