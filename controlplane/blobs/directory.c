#include "controlplane/blobs/directory.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "controlplane/blobs/backend.h"
#include "controlplane/files/files.h"

enum { FOLDER_SIZE = 3, TEMPORARY_SIZE = BLOBS_NAME_TEXT_SIZE + 1, READ_PIECE = 256 << 10 };

struct directory {
    struct blobs blobs;
    int fd;
    char *path; /* owned; for sentences */
};

/* Where one blob is: `name` in the folder `folder`. */
struct place {
    char folder[FOLDER_SIZE];
    char name[BLOBS_NAME_TEXT_SIZE];
    /* Of its own: what a crash left is found by whoever deletes the blob. */
    char temporary[TEMPORARY_SIZE];
};

static struct place place_of(const uint8_t name[BLOBS_NAME_SIZE])
{
    struct place p;
    blobs_name_text(name, p.name);
    memcpy(p.folder, p.name, FOLDER_SIZE - 1);
    p.folder[FOLDER_SIZE - 1] = '\0';
    p.temporary[0] = '.';
    memcpy(p.temporary + 1, p.name, sizeof(p.name));
    return p;
}

static enum err failed(const struct directory *d, const struct place *p, const char *what,
                       struct err_text *why)
{
    int error = errno;
    bool is_full = error == ENOSPC || error == EDQUOT || error == EFBIG;
    return err_set(why, is_full ? ERR_FULL : ERR_IO, "the blob %.200s/%s/%s cannot be %s: %s",
                   d->path, p->folder, p->name, what, strerror(error));
}

static int folder_open(const struct directory *d, const char *folder)
{
    return openat(d->fd, folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);
}

/* -1: `errno` says why. A folder is durable before anything is put into it. */
static int folder_make(const struct directory *d, const char *folder)
{
    int fd = folder_open(d, folder);
    if (fd >= 0 || errno != ENOENT) {
        return fd;
    }
    if (mkdirat(d->fd, folder, S_IRWXU) != 0 && errno != EEXIST) {
        return -1;
    }
    return fsync(d->fd) == 0 ? folder_open(d, folder) : -1;
}

static bool file_make(int folder, const char *name, struct bytes content)
{
    int fd = openat(folder, name, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW,
                    S_IRUSR | S_IWUSR);
    if (fd < 0) {
        return false;
    }
    bool done = file_write_all(fd, content) && fsync(fd) == 0;
    int error = errno;
    if (close(fd) != 0 && done) {
        return false;
    }
    errno = error;
    return done;
}

static enum err put(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct bytes content,
                    struct err_text *why)
{
    const struct directory *d = (const struct directory *)blobs;
    const struct place p = place_of(name);
    int folder = folder_make(d, p.folder);
    if (folder < 0) {
        return failed(d, &p, "written", why);
    }
    enum err e = OK;
    if (!file_make(folder, p.temporary, content) ||
        renameat(folder, p.temporary, folder, p.name) != 0 || fsync(folder) != 0) {
        e = failed(d, &p, "written", why);
        (void)unlinkat(folder, p.temporary, 0);
    }
    (void)close(folder);
    return e;
}

static enum err read_all(int fd, struct buffer *out)
{
    for (;;) {
        size_t room = out->cap - buffer_size(out);
        uint8_t *at = buffer_reserve(out, room < READ_PIECE ? room : READ_PIECE);
        if (room == 0 || at == NULL) {
            return room == 0 ? ERR_LIMIT : ERR_NO_MEMORY;
        }
        ssize_t n = read(fd, at, room < READ_PIECE ? room : READ_PIECE);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n <= 0) {
            return n == 0 ? OK : ERR_IO;
        }
        buffer_commit(out, (size_t)n);
    }
}

static enum err get(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE], struct buffer *out,
                    struct err_text *why)
{
    const struct directory *d = (const struct directory *)blobs;
    const struct place p = place_of(name);
    char path[FOLDER_SIZE + BLOBS_NAME_TEXT_SIZE];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/%s", p.folder, p.name);
    /* Somebody may have put a pipe there: it must not block. */
    int fd = openat(d->fd, path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK);
    if (fd < 0 && errno == ENOENT) {
        return err_set(why, ERR_NOT_FOUND, "the blob %.200s/%s/%s is missing", d->path, p.folder,
                       p.name);
    }
    if (fd < 0) {
        return failed(d, &p, "read", why);
    }
    enum err e = fstat(fd, &status) == 0 && S_ISREG(status.st_mode) ? read_all(fd, out) : ERR_IO;
    if (e == ERR_IO) {
        e = failed(d, &p, "read", why);
    }
    (void)close(fd);
    return e;
}

static enum err take_away(struct blobs *blobs, const uint8_t name[BLOBS_NAME_SIZE],
                          struct err_text *why)
{
    const struct directory *d = (const struct directory *)blobs;
    const struct place p = place_of(name);
    int folder = folder_open(d, p.folder);
    if (folder < 0) {
        return errno == ENOENT ? OK : failed(d, &p, "deleted", why);
    }
    enum err e = OK;
    if ((unlinkat(folder, p.name, 0) != 0 && errno != ENOENT) ||
        (unlinkat(folder, p.temporary, 0) != 0 && errno != ENOENT) || fsync(folder) != 0) {
        e = failed(d, &p, "deleted", why);
    }
    (void)close(folder);
    return e;
}

static void destroy(struct blobs *blobs)
{
    struct directory *d = (struct directory *)blobs;
    if (d->fd >= 0) {
        (void)close(d->fd);
    }
    free(d->path);
    free(d);
}

enum err blobs_open_directory(const char *path, struct blobs **out, struct err_text *why)
{
    static const struct blobs_backend backend = {
        .destroy = destroy, .put = put, .get = get, .remove = take_away};
    enum err e = files_make_directory(path, S_IRWXU, why);
    if (e != OK) {
        return e;
    }
    struct directory *d = calloc(1, sizeof(*d));
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    d->blobs.backend = &backend;
    d->fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    d->path = strdup(path);
    if (d->fd < 0 || d->path == NULL) {
        e = d->path == NULL
                ? ERR_NO_MEMORY
                : err_set(why, ERR_IO, "the directory of blobs %.300s cannot be opened: %s", path,
                          strerror(errno));
        destroy(&d->blobs);
        return e;
    }
    *out = &d->blobs;
    return OK;
}
