#include "cli/issuer/key_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum err key_file_read(const char *path, struct buffer *out, struct err_text *why)
{
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: %s", path,
                       strerror(errno));
    }
    struct stat st;
    enum err e = OK;
    if (fstat(fd, &st) != 0) {
        e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    } else if (!S_ISREG(st.st_mode) || (st.st_mode & 077) != 0) {
        e = err_set(why, ERR_DENIED,
                    "%s has mode %04o; a key must be for its owner alone: chmod 600 %s", path,
                    st.st_mode & 07777, path);
    } else {
        e = file_read_all(fd, out);
        if (e == ERR_LIMIT) {
            (void)err_set(why, e, "%s is larger than %zu bytes", path, out->cap);
        } else if (e != OK) {
            (void)err_set(why, e, "%s: %s", path,
                          e == ERR_IO ? strerror(errno) : "memory is short");
        }
    }
    (void)close(fd);
    return e;
}
