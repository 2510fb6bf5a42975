/* Inside of settings: what its files share. */
#ifndef CHAPERONE_CLI_SETTINGS_INTERNAL_H
#define CHAPERONE_CLI_SETTINGS_INTERNAL_H

#include <limits.h>

#include "base/conf/conf.h"

/* The keys of the user's file; ends with NULL. */
extern const char *const settings_user_keys[];

/* `*out` is owned, and `directory` is the file's; NULL: there is no such file. */
enum err settings_load_user_file(char directory[PATH_MAX], struct conf **out,
                                 struct err_text *error) MUST_USE;

/* Frees what `*out` was before. */
enum err settings_copy(struct bytes value, char **out) MUST_USE;
/* A path in a file is relative to the file's directory. */
enum err settings_copy_path(const char *directory, const char *path, char **out) MUST_USE;

/* NULL when it is not set, or empty. */
const char *settings_environment(const char *name);

/* "HOST:PORT"; NULL: it is not known, and the sentence says how to say it. */
enum err settings_check_server(const char *server, struct err_text *error) MUST_USE;

#endif
