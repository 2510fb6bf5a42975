#include "cli/log/believe.h"

#include <stdio.h>

static struct bytes note_of(const Chaperone__V1__Checkpoint *answer)
{
    return bytes_of_string(answer->note);
}

/* A log's keys have its name. */
static enum err take_first_keys(struct kept_log *kept, const Chaperone__V1__Checkpoint *answer,
                                struct err_text *why)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < answer->n_log_keys; i++) {
        e = kept_log_add_key(kept, answer->log_keys[i], why);
    }
    return e == OK && kept->key_count == 0
               ? err_set(why, ERR_INVALID, "the control plane names no key of its log")
               : e;
}

static size_t read_witnesses(const Chaperone__V1__Checkpoint *answer, struct tlog_verifier *out)
{
    size_t n = 0;
    for (size_t i = 0; i < answer->n_witness_keys && n < KEPT_KEYS_MAX; i++) {
        if (tlog_verifier_parse(bytes_of_string(answer->witness_keys[i]), &out[n], NULL) == OK &&
            out[n].type == TLOG_KEY_COSIGNATURE) {
            n++;
        }
    }
    return n;
}

static enum err open_note(const struct kept_log *kept, struct bytes note,
                          const struct tlog_verifier *witnesses, size_t witness_count,
                          struct tlog_checkpoint *out, size_t *out_witnesses, struct err_text *why)
{
    struct tlog_checkpoint_seal seal = {.witnesses = 0};
    const struct tlog_trust trust = {.origin = kept->keys[0].name,
                                     .logs = kept->keys,
                                     .log_count = kept->key_count,
                                     .witnesses = witnesses,
                                     .witness_count = witness_count};
    enum err e = tlog_checkpoint_open(note, &trust, out, &seal, why);
    *out_witnesses = seal.witnesses;
    return e;
}

/* --- against what was kept ---------------------------------------------------------------------
 */

static enum err contradicts(struct err_text *why, const struct tlog_checkpoint *before,
                            const struct tlog_checkpoint *now, const char *how)
{
    return err_set(why, ERR_DENIED,
                   "the log is not the one that was kept: %s (%llu records were signed before, "
                   "%llu now)",
                   how, (unsigned long long)before->size, (unsigned long long)now->size);
}

static enum err check_consistent(const struct tlog_checkpoint *before,
                                 const struct tlog_checkpoint *now, believe_prove_fn *prove,
                                 void *context, struct err_text *why)
{
    struct tlog_proof proof;
    if (before->size == now->size) {
        return tlog_hash_equal(&before->root, &now->root)
                   ? OK
                   : contradicts(why, before, now, "another tree of the same size was signed");
    }
    bool shrunk = now->size < before->size;
    const struct tlog_checkpoint *small = shrunk ? now : before, *large = shrunk ? before : now;
    if (shrunk) {
        return contradicts(why, before, now, "it has fewer records");
    }
    enum err e = prove(context, small->size, large->size, &proof);
    if (e != OK) {
        return err_set(why, e, "the control plane gives no proof that the log only grew");
    }
    return tlog_tree_check_consistency(&proof, large->size, small->size, &large->root, &small->root)
               ? OK
               : contradicts(why, before, now, "it is no continuation");
}

/* --- keys --------------------------------------------------------------------------------------
 */

/* A new key that signed what a known key signed, too, is vouched for by it. */
static enum err take_new_keys(struct kept_log *kept, const Chaperone__V1__Checkpoint *answer,
                              struct err_text *why)
{
    struct tlog_note note;
    enum err e = tlog_note_parse(note_of(answer), &note, why);
    for (size_t i = 0; e == OK && i < answer->n_log_keys; i++) {
        struct tlog_verifier v;
        enum tlog_signature_state state = TLOG_SIGNATURE_ABSENT;
        if (tlog_verifier_parse(bytes_of_string(answer->log_keys[i]), &v, NULL) != OK ||
            v.type != TLOG_KEY_ED25519 || strcmp(v.name, kept->keys[0].name) != 0) {
            continue;
        }
        e = tlog_note_check(&note, &v, &state, NULL);
        if (e == OK && state == TLOG_SIGNATURE_GOOD) {
            e = kept_log_add_key(kept, answer->log_keys[i], why);
        }
    }
    return e;
}

enum err believe_checkpoint(struct kept_log *kept, const Chaperone__V1__Checkpoint *answer,
                            believe_prove_fn *prove, void *context, struct believe_result *out,
                            struct err_text *why)
{
    struct tlog_verifier witnesses[KEPT_KEYS_MAX];
    struct believe_result result = {.is_first = kept->key_count == 0};
    struct tlog_checkpoint before;
    size_t unused = 0, witness_count = read_witnesses(answer, witnesses);
    enum err e = result.is_first ? take_first_keys(kept, answer, why) : OK;
    if (e == OK) {
        e = open_note(kept, note_of(answer), witnesses, witness_count, &result.checkpoint,
                      &result.witnesses, why);
    }
    if (e == OK && buffer_size(&kept->note) > 0) {
        e = open_note(kept, buffer_bytes(&kept->note), NULL, 0, &before, &unused, why);
        if (e == OK) {
            e = check_consistent(&before, &result.checkpoint, prove, context, why);
        }
    }
    if (e == OK) {
        e = take_new_keys(kept, answer, why);
    }
    if (e == OK) {
        buffer_clear(&kept->note);
        e = buffer_append(&kept->note, note_of(answer));
    }
    if (e == OK) {
        *out = result;
    }
    return e;
}
