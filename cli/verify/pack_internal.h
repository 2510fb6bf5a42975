/* What reading a zip file and reading a folder share. */
#ifndef CHAPERONE_CLI_VERIFY_PACK_INTERNAL_H
#define CHAPERONE_CLI_VERIFY_PACK_INTERNAL_H

#include "cli/verify/pack.h"

/* Names that were there, to find doubles: also those that differ in the case of letters only. */
struct pack_names;

struct pack_names *pack_names_create(void) MUST_USE; /* returns owned */
void pack_names_destroy(struct pack_names *n);       /* takes NULL */
/* ERR_EXISTS: it was there; ERR_LIMIT, ERR_NO_MEMORY. */
enum err pack_names_add(struct pack_names *n, const char *name) MUST_USE;

enum err pack_read_zip(const char *path, const struct pack_visitor *visitor, char *out_folder,
                       struct report *report, struct err_text *why) MUST_USE;
enum err pack_read_folder(const char *path, const struct pack_visitor *visitor,
                          struct report *report, struct err_text *why) MUST_USE;

#endif
