/* Writes a package (docs/evidence.md) of what was collected, into a zip file. Memory does not grow
 * with the number of records. */
#ifndef CHAPERONE_CLI_EVIDENCE_PACKAGE_H
#define CHAPERONE_CLI_EVIDENCE_PACKAGE_H

#include "cli/evidence/collection.h"

/* Called often. False: stop (somebody pressed Ctrl-C). */
typedef bool package_progress_fn(void *context, uint64_t done, uint64_t total);

/* All borrowed. */
struct package_options {
    struct collection *collection; /* finished */
    struct zip *zip;
    const Chaperone__V1__ExportRequest *request; /* what was asked for */
    const char *seed, *sample_of;                /* of the sample, where there is one */
    bool with_replay;
    package_progress_fn *on_progress;
    void *context;
};

enum { PACKAGE_FOLDER_SIZE = 64 };
/* "evidence-2026-11-21-1a2b3c4d" */
void package_folder(const Chaperone__V1__ExportHeader *header, char out[PACKAGE_FOLDER_SIZE]);

/* Up to the end of the zip file. ERR_CLOSED: on_progress said stop. Others with a sentence. */
enum err package_write(const struct package_options *options, struct err_text *why) MUST_USE;

#endif
