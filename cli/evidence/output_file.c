#include "cli/evidence/output_file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static enum err fail(const char *what, const char *path, struct err_text *why)
{
    enum err e = errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
    return err_set(why, e, "%s %.300s: %s", what, path, strerror(errno));
}

static void finish(struct output_file *f)
{
    if (f->fd >= 0) {
        (void)close(f->fd);
    }
    free(f->path);
    free(f->part);
    free(f->directory);
    *f = (struct output_file){.fd = -1};
}

static enum err name(const char *path, struct output_file *out)
{
    char *copy = strdup(path);
    out->path = strdup(path);
    out->directory = copy == NULL ? NULL : strdup(dirname(copy));
    free(copy);
    if (asprintf(&out->part, "%s.part", path) < 0) {
        out->part = NULL;
    }
    return out->path == NULL || out->directory == NULL || out->part == NULL ? ERR_NO_MEMORY : OK;
}

enum err output_file_open(const char *path, bool replaces, struct output_file *out,
                          struct err_text *why)
{
    struct output_file f = {.fd = -1, .replaces = replaces};
    enum err e = name(path, &f);
    if (e == OK && !replaces && access(path, F_OK) == 0) {
        e = err_set(why, ERR_EXISTS, "%.300s is there already; --force overwrites it", path);
    }
    if (e == OK) {
        int flags = O_WRONLY | O_CREAT | O_CLOEXEC | O_NOFOLLOW | (replaces ? O_TRUNC : O_EXCL);
        f.fd = open(f.part, flags, 0600);
        if (f.fd < 0 && errno == EEXIST) {
            e = err_set(why, ERR_EXISTS,
                        "%.300s is there already: of an export that is under way, or was killed; "
                        "--force overwrites it",
                        f.part);
        } else if (f.fd < 0) {
            e = fail("cannot write", f.part, why);
        }
    }
    if (e != OK) {
        finish(&f);
        return e;
    }
    *out = f;
    return OK;
}

static int give_name(const struct output_file *f)
{
    if (f->replaces) {
        return rename(f->part, f->path);
    }
    int result = renameat2(AT_FDCWD, f->part, AT_FDCWD, f->path, RENAME_NOREPLACE);
    /* Not every file system can: then it was not there a moment ago. */
    return result != 0 && errno == EINVAL ? rename(f->part, f->path) : result;
}

static void sync_directory(const struct output_file *f)
{
    int fd = open(f->directory, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (fd >= 0) {
        (void)fsync(fd);
        (void)close(fd);
    }
}

enum err output_file_finish(struct output_file *f, struct err_text *why)
{
    enum err e = fsync(f->fd) == 0 ? OK : fail("cannot write", f->part, why);
    if (e == OK && give_name(f) != 0) {
        e = fail("cannot write", f->path, why);
    }
    if (e != OK) {
        output_file_discard(f);
        return e;
    }
    sync_directory(f);
    finish(f);
    return OK;
}

void output_file_discard(struct output_file *f)
{
    if (f->fd >= 0) {
        (void)unlink(f->part);
        finish(f);
    }
}
