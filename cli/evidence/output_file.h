/* A file that has its name only when it is whole: it is written as FILE.part. For its owner only:
 * it holds what the audit log holds. */
#ifndef CHAPERONE_CLI_EVIDENCE_OUTPUT_FILE_H
#define CHAPERONE_CLI_EVIDENCE_OUTPUT_FILE_H

#include "base/bytes.h"

struct output_file {
    char *path, *part, *directory; /* owned */
    int fd;                        /* -1: not open */
    bool replaces;                 /* what is there may be overwritten */
};

/* ERR_EXISTS, ERR_IO, ERR_FULL with a sentence; then there is nothing to discard. */
enum err output_file_open(const char *path, bool replaces, struct output_file *out,
                          struct err_text *why) MUST_USE;
/* On the disk, and under its name, when it returns OK; else it is gone. */
enum err output_file_finish(struct output_file *f, struct err_text *why) MUST_USE;
/* Removes what was written. Also after finish, then it does nothing. */
void output_file_discard(struct output_file *f);

#endif
