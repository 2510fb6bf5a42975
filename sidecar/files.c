#include "sidecar/files.h"

#include <errno.h>
#include <stdio.h>

enum err files_read(const char *path, struct buffer *out, struct err_text *why)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read: %s",
                       path, strerror(errno));
    }
    enum err e = OK;
    size_t n = 1;
    while (e == OK && n > 0) {
        uint8_t *room = buffer_reserve(out, 4096);
        if (room == NULL) {
            e = err_set(why, ERR_LIMIT, "%s: is longer than %d bytes", path, FILES_SIZE_MAX);
            break;
        }
        n = fread(room, 1, 4096, f);
        buffer_commit(out, n);
    }
    if (e == OK && ferror(f)) {
        e = err_set(why, ERR_IO, "%s: cannot be read", path);
    }
    (void)fclose(f);
    return e;
}
