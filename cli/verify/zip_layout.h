/* Whether a zip file (PKWARE APPNOTE.TXT 6.3) is laid out plainly: members one after the other from
 * its first byte, the central directory behind them, and nothing else.
 *
 * A zip file describes each member twice, and may have bytes that no description covers. Programs
 * that follow the one or the other unpack different files from it; one that is laid out plainly
 * is the same for all. Data is not unpacked here. Pure but for the function that opens a file. */
#ifndef CHAPERONE_CLI_VERIFY_ZIP_LAYOUT_H
#define CHAPERONE_CLI_VERIFY_ZIP_LAYOUT_H

#include "base/bytes.h"

/* ERR_INVALID with a sentence. */
enum err zip_layout_check(struct bytes file, struct err_text *why) MUST_USE;
/* The same of a file; ERR_IO with a sentence. */
enum err zip_layout_check_file(const char *path, struct err_text *why) MUST_USE;

#endif
