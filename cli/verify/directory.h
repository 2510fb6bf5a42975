/* A log's directory (C2SP tlog-tiles): all tiles and entry bundles up to the checkpoint's root. It
 * has hashes of records, not the records. */
#ifndef CHAPERONE_CLI_VERIFY_DIRECTORY_H
#define CHAPERONE_CLI_VERIFY_DIRECTORY_H

#include "cli/verify/verify.h"

/* As verify_path. `tile/`, `tile/entries/` and the file `checkpoint`. */
enum err directory_verify(const char *path, const struct verify_options *options,
                          struct report *report, struct verify_result *out,
                          struct err_text *why) MUST_USE;

#endif
