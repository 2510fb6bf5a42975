/* The files of an evidence package, one after the other: of a zip file, or of a folder that it was
 * unpacked into.
 *
 * A package may be made by an adversary. Names are relative, of plain ASCII, without links,
 * ".." or doubles; a zip file has nothing but its members, each described the same way twice
 * (zip_layout.h), and does not expand beyond PACK_EXPANSION_MAX. Nothing is written anywhere. */
#ifndef CHAPERONE_CLI_VERIFY_PACK_H
#define CHAPERONE_CLI_VERIFY_PACK_H

#include "base/bytes.h"
#include "cli/verify/report.h"

enum {
    PACK_NAME_MAX = 255,
    PACK_FILES_MAX = 10 << 20,
    /* Records have hashes and random salts, which do not compress: a real package has less than 20.
     */
    PACK_EXPANSION_MAX = 100,
};
/* However small the file is. */
#define PACK_EXPANSION_FLOOR (UINT64_C(64) << 20)

struct pack_visitor {
    /* A file begins. */
    enum err (*on_file)(void *context, const char *name);
    enum err (*on_data)(void *context, struct bytes data);
    enum err (*on_end)(void *context);
    /* So much of what has to be read was read. */
    void (*on_progress)(void *context, uint64_t done, uint64_t total);
    void *context;
};

/* Reads all files. `out_folder` (PACK_NAME_MAX + 1 bytes) is the name of the folder that all are
 * in, of a zip file; "" of a folder. What is wrong with the package itself is reported, and its
 * other files are read where that is possible. ERR_NOT_FOUND, ERR_IO: it cannot be read, `why` says
 * it; or what the visitor said. */
enum err pack_read(const char *path, const struct pack_visitor *visitor, char *out_folder,
                   struct report *report, struct err_text *why) MUST_USE;

/* Whether a name may be in a package. */
bool pack_is_name(const char *name);

#endif
