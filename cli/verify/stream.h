/* All records of the log, as the control plane sends them (Log.Export), checked as a package is. */
#ifndef CHAPERONE_CLI_VERIFY_STREAM_H
#define CHAPERONE_CLI_VERIFY_STREAM_H

#include "api/log.pb-c.h"
#include "cli/verify/verify.h"

struct verify_stream;

/* Borrows all. Returns owned. */
enum err verify_stream_create(const struct verify_options *options, struct report *report,
                              struct verify_result *result, struct verify_stream **out) MUST_USE;
void verify_stream_destroy(struct verify_stream *s); /* takes NULL */

/* The next part, of an export of everything with proofs and context. ERR_INVALID with a sentence:
 * it is not as api/log.proto says. */
enum err verify_stream_add(struct verify_stream *s, const Chaperone__V1__ExportPart *part,
                           struct err_text *why) MUST_USE;
/* How many entries came, and how many are to come. */
uint64_t verify_stream_progress(const struct verify_stream *s, uint64_t *out_total);
/* After the last part. As verify_path. */
enum err verify_stream_check(struct verify_stream *s, struct err_text *why) MUST_USE;

#endif
