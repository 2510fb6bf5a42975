#include "cli/verify/pack_internal.h"

#include <ctype.h>
#include <errno.h>
#include <fcntl.h>
#include <search.h>
#include <stdlib.h>
#include <sys/stat.h>

struct pack_names {
    void *tree; /* of strings in lower case */
    size_t count;
};

static int compare(const void *a, const void *b)
{
    return strcmp(a, b);
}

struct pack_names *pack_names_create(void)
{
    return calloc(1, sizeof(struct pack_names));
}

void pack_names_destroy(struct pack_names *n)
{
    if (n != NULL) {
        tdestroy(n->tree, free);
    }
    free(n);
}

enum err pack_names_add(struct pack_names *n, const char *name)
{
    if (n->count == PACK_FILES_MAX) {
        return ERR_LIMIT;
    }
    char *copy = strdup(name);
    if (copy == NULL) {
        return ERR_NO_MEMORY;
    }
    for (char *c = copy; *c != '\0'; c++) {
        *c = (char)tolower((unsigned char)*c);
    }
    char **found = tsearch(copy, &n->tree, compare);
    if (found == NULL || *found != copy) {
        free(copy);
        return found == NULL ? ERR_NO_MEMORY : ERR_EXISTS;
    }
    n->count++;
    return OK;
}

bool pack_is_name(const char *name)
{
    size_t size = strlen(name);
    if (size == 0 || size > PACK_NAME_MAX || name[0] == '/' || name[size - 1] == '/') {
        return false;
    }
    for (const char *part = name;; part++) {
        size_t n = strcspn(part, "/");
        if (n == 0 || (n == 1 && part[0] == '.') || (n == 2 && part[0] == '.' && part[1] == '.')) {
            return false;
        }
        for (size_t i = 0; i < n; i++) {
            if (!isalnum((unsigned char)part[i]) && strchr("-_.", part[i]) == NULL) {
                return false;
            }
        }
        part += n;
        if (*part == '\0') {
            return true;
        }
    }
}

enum err pack_read(const char *path, const struct pack_visitor *visitor, char *out_folder,
                   struct report *report, struct err_text *why)
{
    struct stat about;
    out_folder[0] = '\0';
    if (stat(path, &about) != 0) {
        return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path,
                       strerror(errno));
    }
    return S_ISDIR(about.st_mode) ? pack_read_folder(path, visitor, report, why)
                                  : pack_read_zip(path, visitor, out_folder, report, why);
}
