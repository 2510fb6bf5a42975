#include "sidecar/files.h"

#include <errno.h>
#include <stdbool.h>
#include <stdio.h>

enum { PIECE = 4096 };

enum err files_read(const char *path, struct buffer *out, struct err_text *why)
{
    FILE *f = fopen(path, "rbe");
    if (f == NULL) {
        return err_set(why, errno == ENOENT ? ERR_NOT_FOUND : ERR_IO, "%s: cannot be read: %s",
                       path, strerror(errno));
    }
    enum err e = OK;
    size_t before = buffer_size(out);
    bool more = true;
    while (e == OK && more) {
        size_t left = out->cap - buffer_size(out);
        size_t wanted = left < PIECE ? left : PIECE;
        uint8_t *room = wanted == 0 ? NULL : buffer_reserve(out, wanted);
        if (room != NULL) {
            size_t n = fread(room, 1, wanted, f);
            buffer_commit(out, n);
            more = n == wanted;
        } else if (wanted > 0) {
            e = err_set(why, ERR_NO_MEMORY, "%s: no memory to read it", path);
        } else {
            more = false;
            if (fgetc(f) != EOF) {
                e = err_set(why, ERR_LIMIT, "%s: is longer than %zu bytes", path, out->cap);
            }
        }
    }
    if (e == OK && ferror(f)) {
        e = err_set(why, ERR_IO, "%s: cannot be read: %s", path, strerror(errno));
    }
    if (e != OK) {
        out->end = out->start + before;
    }
    (void)fclose(f);
    return e;
}
