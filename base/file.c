#include "base/file.h"

#include <errno.h>
#include <fcntl.h>
#include <libgen.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

bool file_write_all(int fd, struct bytes content)
{
    while (content.size > 0) {
        ssize_t n = write(fd, content.data, content.size);
        if (n == 0) {
            errno = EIO; /* else it would be asked for ever */
        }
        if (n == 0 || (n < 0 && errno != EINTR)) {
            return false;
        }
        if (n > 0) {
            content = bytes_of(content.data + n, content.size - (size_t)n);
        }
    }
    return true;
}

enum err file_read_all(int fd, struct buffer *out)
{
    enum { PIECE = 16 << 10 };
    for (;;) {
        uint8_t beyond = 0;
        const size_t left = out->cap - buffer_size(out), piece = left < PIECE ? left : PIECE;
        uint8_t *room = left == 0 ? &beyond : buffer_reserve(out, piece);
        if (room == NULL) {
            return ERR_NO_MEMORY;
        }
        ssize_t n = read(fd, room, left == 0 ? 1 : piece);
        if (n == 0) {
            return OK;
        }
        if (n < 0 && errno != EINTR) {
            return ERR_IO;
        }
        if (n > 0 && left == 0) {
            return ERR_LIMIT;
        }
        buffer_commit(out, n < 0 ? 0 : (size_t)n);
    }
}

bool file_sync_directory_of(const char *path)
{
    char copy[PATH_MAX];
    (void)snprintf(copy, sizeof(copy), "%s", path);
    int fd = open(dirname(copy), O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    int reason = errno;
    if (fd >= 0) {
        (void)close(fd);
    }
    errno = reason;
    return ok;
}

static bool write_new(int fd, mode_t mode, struct bytes content)
{
    bool written = fchmod(fd, mode) == 0 && file_write_all(fd, content) && fsync(fd) == 0;
    int reason = errno;
    if (close(fd) != 0 && written) {
        return false;
    }
    errno = reason;
    return written;
}

enum err file_replace(const char *path, mode_t mode, struct bytes content, struct err_text *why)
{
    char name[PATH_MAX];
    int length = snprintf(name, sizeof(name), "%s.XXXXXX", path);
    if (length < 0 || (size_t)length >= sizeof(name)) {
        return err_set(why, ERR_LIMIT, "the path %.200s... is too long", path);
    }
    int fd = mkostemp(name, O_CLOEXEC);
    bool written = fd >= 0 && write_new(fd, mode, content);
    if (!written || rename(name, path) != 0 || !file_sync_directory_of(path)) {
        int reason = errno;
        if (fd >= 0) {
            (void)unlink(name); /* after the rename there is none of that name */
        }
        return err_set(why, reason == ENOSPC || reason == EDQUOT ? ERR_FULL : ERR_IO,
                       "%.300s cannot be written: %s", path, strerror(reason));
    }
    return OK;
}
