#include "controlplane/files/files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

char *files_join(const char *directory, const char *name)
{
    size_t size = strlen(directory) + strlen(name) + 2;
    char *path = malloc(size);
    if (path != NULL) {
        (void)snprintf(path, size, "%s/%s", directory, name);
    }
    return path;
}

enum err files_read(const char *path, struct buffer *out, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) {
        enum err e = errno == ENOENT || errno == ENOTDIR ? ERR_NOT_FOUND : ERR_IO;
        return err_set(why, e, "%s cannot be opened: %s", path, strerror(errno));
    }
    enum err e = file_read_all(fd, out);
    if (e == ERR_LIMIT) {
        (void)err_set(why, e, "%s is larger than %zu bytes", path, out->cap);
    } else if (e != OK) {
        (void)err_set(why, e, "%s cannot be read: %s", path,
                      e == ERR_IO ? strerror(errno) : "memory is short");
    }
    (void)close(fd);
    return e;
}

/* Writes a new file beside `path`, with its content on the disk. */
static enum err write_beside(const char *path, mode_t mode, struct bytes content, char *out_name,
                             size_t size, struct err_text *why)
{
    if ((size_t)snprintf(out_name, size, "%s.XXXXXX", path) >= size) {
        return err_set(why, ERR_LIMIT, "the path %.200s... is too long", path);
    }
    int fd = mkostemp(out_name, O_CLOEXEC);
    if (fd < 0) {
        return err_set(why, ERR_IO, "%s cannot be created: %s", path, strerror(errno));
    }
    bool written = fchmod(fd, mode) == 0 && file_write_all(fd, content) && fsync(fd) == 0;
    int reason = errno;
    (void)close(fd);
    if (!written) {
        (void)unlink(out_name);
        return err_set(why, reason == ENOSPC ? ERR_FULL : ERR_IO, "%s cannot be written: %s", path,
                       strerror(reason));
    }
    return OK;
}

enum { PATH_SIZE = 4096 };

enum err files_create(const char *path, mode_t mode, struct bytes content, struct err_text *why)
{
    char name[PATH_SIZE];
    enum err e = write_beside(path, mode, content, name, sizeof(name), why);
    if (e != OK) {
        return e;
    }
    /* link() never replaces, unlike rename(). */
    if (link(name, path) != 0) {
        e = err_set(why, errno == EEXIST ? ERR_EXISTS : ERR_IO, "%s cannot be created: %s", path,
                    strerror(errno));
    }
    (void)unlink(name);
    if (e == OK && !file_sync_directory_of(path)) {
        e = err_set(why, ERR_IO, "%s cannot be created: %s", path, strerror(errno));
    }
    return e;
}

enum err files_check_private(const char *path, struct err_text *why)
{
    struct stat s;
    if (stat(path, &s) != 0) {
        return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s cannot be opened: %s",
                       path, strerror(errno));
    }
    if (!S_ISREG(s.st_mode)) {
        return err_set(why, ERR_INVALID, "%s is not a regular file", path);
    }
    if ((s.st_mode & 077) != 0) {
        return err_set(why, ERR_DENIED,
                       "%s is a key with mode %04o, so others than its owner may use it; "
                       "expected 0600 (chmod 600 %s)",
                       path, (unsigned)(s.st_mode & 07777), path);
    }
    return OK;
}

enum err files_make_directory(const char *path, mode_t mode, struct err_text *why)
{
    char name[PATH_SIZE];
    if ((size_t)snprintf(name, sizeof(name), "%s", path) >= sizeof(name)) {
        return err_set(why, ERR_LIMIT, "the path %.200s... is too long", path);
    }
    for (char *slash = strchr(name + (name[0] == '/'), '/'); slash != NULL;
         slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        if (mkdir(name, 0755) != 0 && errno != EEXIST) {
            return err_set(why, ERR_IO, "the directory %s cannot be made: %s", name,
                           strerror(errno));
        }
        *slash = '/';
    }
    struct stat s;
    if (mkdir(name, mode) != 0 && errno != EEXIST) {
        return err_set(why, ERR_IO, "the directory %s cannot be made: %s", name, strerror(errno));
    }
    if (stat(name, &s) != 0 || !S_ISDIR(s.st_mode)) {
        return err_set(why, ERR_IO, "%s is not a directory", name);
    }
    return OK;
}
