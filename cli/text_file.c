#include "cli/text_file.h"

#include <errno.h>
#include <stdio.h>

enum err text_file_read(const char *path, size_t cap, struct buffer *out, struct err_text *error)
{
    enum err e = OK;
    /* One byte more than the cap tells a file that is too large. */
    buffer_init(out, cap + 1);
    FILE *f = fopen(path, "re");
    if (f == NULL) {
        e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        (void)err_set(error, e, "%s: %s", path, strerror(errno));
        return e;
    }
    uint8_t *room = buffer_reserve(out, cap + 1);
    size_t size = room == NULL ? 0 : fread(room, 1, cap + 1, f);
    if (room == NULL) {
        e = ERR_NO_MEMORY;
        (void)err_set(error, e, "out of memory");
    } else if (ferror(f) != 0) {
        e = ERR_IO;
        (void)err_set(error, e, "%s: %s", path, strerror(errno));
    } else if (size > cap) {
        e = ERR_LIMIT;
        (void)err_set(error, e, "%s: larger than %zu bytes", path, cap);
    } else {
        buffer_commit(out, size);
    }
    (void)fclose(f);
    return e;
}
