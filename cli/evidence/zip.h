/* The zip file of a package: files one after the other, each written as a stream, all inside of one
 * folder; remembers name, size and SHA-256 of each for the manifest. Not thread-safe. */
#ifndef CHAPERONE_CLI_EVIDENCE_ZIP_H
#define CHAPERONE_CLI_EVIDENCE_ZIP_H

#include <stdio.h>

#include "base/bytes.h"
#include "formats/json.h"

struct zip;

struct zip_options {
    int fd;             /* borrows; where the file is written to, from its beginning */
    const char *folder; /* without a slash; copied */
    int64_t made_unix_ns;
    const char *directory; /* for a temporary file */
};

/* Returns owned. ERR_IO, ERR_FULL with a sentence. */
enum err zip_create(const struct zip_options *options, struct zip **out,
                    struct err_text *why) MUST_USE;
void zip_destroy(struct zip *z); /* takes NULL; what was not finished is no zip file */

/* Begins a file, whose name below the folder has only a-z, 0-9, '-', '_', '.', '/' and upper case
 * letters; one at a time. Returns what it is written to, borrowed, until zip_end. NULL: memory is
 * short, or a write failed before. */
FILE *zip_begin(struct zip *z, const char *name) MUST_USE;
/* ERR_FULL: the disk is; ERR_IO. */
enum err zip_end(struct zip *z) MUST_USE;
/* A whole file. */
enum err zip_add(struct zip *z, const char *name, struct bytes data) MUST_USE;

/* How many files there are so far, and one of them as an object of a list: name, size, sha256. */
size_t zip_count(const struct zip *z);
enum err zip_describe(struct zip *z, size_t index, struct json *j, cJSON *list) MUST_USE;

/* Writes the end of the zip file. Nothing may follow but zip_destroy. */
enum err zip_finish(struct zip *z) MUST_USE;
/* What went wrong, after a failure. */
const char *zip_error(const struct zip *z);

#endif
