/* Blobs in a directory: DIRECTORY/ab/abcd... by the first byte of the name. Files have mode 0600,
 * directories that are made here 0700. */
#ifndef CHAPERONE_CONTROLPLANE_BLOBS_DIRECTORY_H
#define CHAPERONE_CONTROLPLANE_BLOBS_DIRECTORY_H

#include "controlplane/blobs/blobs.h"

/* Makes the directory where it is missing. Returns owned. ERR_IO, ERR_INVALID with a sentence. */
enum err blobs_open_directory(const char *path, struct blobs **out, struct err_text *why) MUST_USE;

#endif
