/* `chaperone audit verify`: whether an evidence package, or a log's directory, is whole and what
 * was logged.
 *
 * Offline: nothing is asked of anybody. What is checked, in this order: the files against the
 * manifest, the checkpoint and its witnesses, the tiles up to its root, each record in its tile,
 * the streams, the sessions, heartbeats, policies, the sample, and what the manifest counts. */
#ifndef CHAPERONE_CLI_VERIFY_VERIFY_H
#define CHAPERONE_CLI_VERIFY_VERIFY_H

#include "cli/verify/records.h"
#include "cli/verify/trust.h"

struct verify_options {
    const struct trust *trust; /* without a key of the log: those that the package brings along */
    struct bytes kept;         /* a checkpoint that is known: the log must go on from it; or none */
    const char *origin;        /* NULL: the name of the first key of the log */
    void (*on_progress)(void *context, uint64_t done, uint64_t total); /* bytes */
    void *context;
};

enum verify_subject {
    VERIFY_PACKAGE,
    VERIFY_LOG,        /* a directory of hashes */
    VERIFY_EVERYTHING, /* all records, as the control plane sends them */
};

/* What a person is told beside what is wrong. */
struct verify_result {
    enum verify_subject subject;
    struct trust_checkpoint checkpoint;
    bool has_checkpoint; /* it was read; whether it is believed is in the report */
    bool has_own_keys;   /* nobody said which key to believe: the package's own was taken */
    uint64_t files, tiles;
    struct records_summary summary;
};

/* ERR_NOT_FOUND, ERR_IO, ERR_INVALID, ERR_LIMIT, ERR_NO_MEMORY: it could not be looked at, `why`
 * says it. OK: what was found is in the report, also where all is wrong. */
enum err verify_path(const char *path, const struct verify_options *options, struct report *report,
                     struct verify_result *out, struct err_text *why) MUST_USE;

#endif
