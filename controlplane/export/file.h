/* Records as lines in files of a directory, as they arrive.
 *
 *   NAME-00000000000000001234-20261121T184500Z.jsonl[.gz|.zst]      done: never changes any more
 *   ....part                                                        being written
 *
 * The number is the position of the first record. A file ends by size or age (config), and when the
 * job ends. What a process that died left behind is cut to its last whole line (or frame), and
 * gets its name. */
#ifndef CHAPERONE_CONTROLPLANE_EXPORT_FILE_H
#define CHAPERONE_CONTROLPLANE_EXPORT_FILE_H

#include "controlplane/export/sink.h"

/* Returns owned. Makes the directory where there is none. */
enum err export_file_create(const struct export_sink_options *options, struct export_sink **out,
                            struct err_text *why) MUST_USE;

/* The directory, made if need be; the caller closes it. */
enum err export_file_directory(const struct config_export *config, int *out,
                               struct err_text *why) MUST_USE;

#endif
