/* One file of exported lines: written under a name that ends in ".part", on the disk after each
 * append, and given its own name when it is done, so that a file without ".part" never
 * changes. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_WRITER_H
#define CHAPERONE_CONTROLPLANE_EXPORT_WRITER_H

#include "base/crypto/crypto.h"
#include "controlplane/config.h"
#include "controlplane/export/sink.h"

enum { EXPORT_FILE_NAME_SIZE = 200 };

struct export_writer {
    int directory; /* borrows */
    int fd;        /* -1: none is open */
    enum config_compression compress;
    char name[EXPORT_FILE_NAME_SIZE]; /* without ".part" */
    uint64_t size;                    /* on the disk, for certain */
    uint64_t records;
    struct crypto_sha256 hash;      /* of the file so far */
    struct buffer text, compressed; /* of one batch */
};

void export_writer_init(struct export_writer *w, int directory, enum config_compression compress);
void export_writer_finish(struct export_writer *w); /* closes; the file stays a ".part" */

/* Makes NAME.part. ERR_EXISTS: it is there. */
enum err export_writer_open(struct export_writer *w, const char *name,
                            struct err_text *why) MUST_USE;
/* Durable when it returns OK, and else as before: ERR_FULL (the disk), or ERR_IO: then the file is
 * closed, because nobody knows what of it is on the disk. */
enum err export_writer_append(struct export_writer *w, const struct export_line *lines,
                              size_t count, struct err_text *why) MUST_USE;
/* Gives the file its name (another one, name-2, ... where that is taken), which is then in
 * `w->name`; one without a record is removed. */
enum err export_writer_complete(struct export_writer *w, struct err_text *why) MUST_USE;
/* Removes it. */
void export_writer_abandon(struct export_writer *w);

/* As writer_complete, for a ".part" that was left behind by a process that died: what is not whole
 * at its end is cut off first. */
enum err export_writer_recover(int directory, const char *part, enum config_compression compress,
                               struct err_text *why) MUST_USE;

#endif
