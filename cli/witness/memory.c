#include "cli/witness/memory.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/text_file.h"

enum { NAME_SIZE = 2 * CRYPTO_SHA256_SIZE + 1 };

struct memory {
    char *directory; /* owned */
    char *logs, *forks;
    int lock_fd;
    atomic_bool is_unsure; /* a name may or may not be on the disk */
};

char *memory_path(const char *directory, const char *name)
{
    char *path = NULL;
    return asprintf(&path, "%s/%s", directory, name) < 0 ? NULL : path;
}

static enum err fail(const char *path, struct err_text *why)
{
    return err_set(why, errno == ENOSPC ? ERR_FULL : ERR_IO, "%s: %s", path, strerror(errno));
}

/* ---- life ------------------------------------------------------------------------------------ */

static enum err make_directory(const char *path, struct err_text *why)
{
    struct stat s;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return fail(path, why);
    }
    if (stat(path, &s) != 0 || !S_ISDIR(s.st_mode)) {
        return err_set(why, ERR_IO, "%s is not a directory", path);
    }
    return OK;
}

static bool sync_directory(const char *path)
{
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    bool ok = fd >= 0 && fsync(fd) == 0;
    if (fd >= 0) {
        (void)close(fd);
    }
    return ok;
}

/* Who can remove a file there can make a witness forget. */
static enum err check_private(const char *path, struct err_text *why)
{
    struct stat s;
    if (stat(path, &s) != 0) {
        return fail(path, why);
    }
    return (s.st_mode & 022) == 0
               ? OK
               : err_set(why, ERR_DENIED,
                         "%s has mode %04o, so others than its owner may write there; expected "
                         "0700",
                         path, (unsigned)(s.st_mode & 07777));
}

static enum err take_lock(struct memory *m, struct err_text *why)
{
    char *path = memory_path(m->directory, "lock");
    if (path == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = OK;
    m->lock_fd = open(path, O_RDWR | O_CREAT | O_CLOEXEC, 0600);
    if (m->lock_fd < 0) {
        e = fail(path, why);
    } else if (flock(m->lock_fd, LOCK_EX | LOCK_NB) != 0) {
        e = errno == EWOULDBLOCK
                ? err_set(why, ERR_EXISTS, "%s: another witness runs in this directory",
                          m->directory)
                : fail(path, why);
    }
    free(path);
    return e;
}

enum err memory_create(const char *directory, struct memory **out, struct err_text *why)
{
    struct memory *m = calloc(1, sizeof(*m));
    if (m == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    m->lock_fd = -1;
    m->directory = strdup(directory);
    m->logs = memory_path(directory, "seen");
    m->forks = memory_path(directory, "forks");
    if (m->directory == NULL || m->logs == NULL || m->forks == NULL) {
        memory_destroy(m);
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = make_directory(directory, why);
    if (e == OK) {
        e = check_private(directory, why);
    }
    if (e == OK) {
        e = take_lock(m, why);
    }
    if (e == OK) {
        e = make_directory(m->logs, why);
    }
    if (e == OK) {
        e = make_directory(m->forks, why);
    }
    if (e == OK && !sync_directory(directory)) {
        e = fail(directory, why);
    }
    if (e != OK) {
        memory_destroy(m);
        return e;
    }
    *out = m;
    return OK;
}

void memory_destroy(struct memory *memory)
{
    if (memory != NULL) {
        if (memory->lock_fd >= 0) {
            (void)close(memory->lock_fd);
        }
        free(memory->directory);
        free(memory->logs);
        free(memory->forks);
        free(memory);
    }
}

/* ---- files ----------------------------------------------------------------------------------- */

/* Origins are no file names. */
static char *path_of(const char *directory, struct bytes named)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    char name[NAME_SIZE];
    crypto_sha256_of(named, digest);
    crypto_hex_encode(bytes_of(digest, sizeof(digest)), name);
    return memory_path(directory, name);
}

/* Replaces the file; `*out_renamed` says whether its name may lead to the new content already. */
static enum err replace(const char *directory, const char *path, struct bytes content,
                        bool *out_renamed, struct err_text *why)
{
    char *temporary = NULL;
    if (asprintf(&temporary, "%s.new", path) < 0) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = OK;
    int fd = open(temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0 || !file_write_all(fd, content) || fsync(fd) != 0) {
        e = fail(temporary, why);
    }
    if (fd >= 0 && close(fd) != 0 && e == OK) {
        e = fail(temporary, why);
    }
    if (e == OK) {
        *out_renamed = true;
        e = rename(temporary, path) == 0 && sync_directory(directory) ? OK : fail(path, why);
    } else if (fd >= 0) {
        (void)unlink(temporary);
    }
    free(temporary);
    return e;
}

enum err memory_keep(struct memory *memory, const char *origin, struct bytes note,
                     struct err_text *why)
{
    if (atomic_load(&memory->is_unsure)) {
        return err_set(why, ERR_IO,
                       "%s: a write failed half-way; the witness must be started again",
                       memory->directory);
    }
    char *path = path_of(memory->logs, bytes_of_string(origin));
    if (path == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    bool renamed = false;
    enum err e = replace(memory->logs, path, note, &renamed, why);
    if (e != OK && renamed) {
        atomic_store(&memory->is_unsure, true);
    }
    free(path);
    return e;
}

static size_t count_files(const char *directory)
{
    DIR *d = opendir(directory);
    const struct dirent *entry = NULL;
    size_t count = 0;
    while (d != NULL && (entry = readdir(d)) != NULL) {
        count += entry->d_name[0] != '.';
    }
    if (d != NULL) {
        (void)closedir(d);
    }
    return count;
}

enum err memory_keep_fork(struct memory *memory, struct bytes note, struct err_text *why)
{
    char *path = path_of(memory->forks, note);
    struct stat s;
    bool renamed = false;
    enum err e = OK;
    if (path == NULL) {
        e = err_set(why, ERR_NO_MEMORY, "memory is short");
    } else if (stat(path, &s) == 0) {
        e = OK;
    } else if (count_files(memory->forks) >= MEMORY_FORKS_MAX) {
        e = err_set(why, ERR_FULL, "%s has %d files", memory->forks, (int)MEMORY_FORKS_MAX);
    } else {
        e = replace(memory->forks, path, note, &renamed, why);
    }
    free(path);
    return e;
}

/* ---- reading --------------------------------------------------------------------------------- */

static enum err seen_read(struct bytes file, const char *origin, const struct tlog_verifier *self,
                          struct witness_seen *out, struct err_text *why)
{
    struct tlog_note note = {.count = 0};
    struct tlog_checkpoint checkpoint = {.size = 0};
    enum err e = tlog_note_parse(file, &note, why);
    if (e == OK) {
        e = tlog_note_verify(&note, self, 1, NULL, why);
    }
    if (e == OK) {
        e = tlog_checkpoint_parse(note.text, &checkpoint, why);
    }
    if (e == OK && !bytes_equal_string(checkpoint.origin, origin)) {
        e = err_set(why, ERR_DENIED, "it is of another log");
    }
    if (e == OK) {
        *out = (struct witness_seen){.size = checkpoint.size, .root = checkpoint.root};
    }
    return e;
}

enum err memory_load(const struct memory *memory, const char *origin,
                     const struct tlog_verifier *self, struct witness_seen *out,
                     struct err_text *why)
{
    struct err_text reason = {.text = ""};
    struct buffer file;
    char *path = path_of(memory->logs, bytes_of_string(origin));
    if (path == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = text_file_read(path, TLOG_NOTE_SIZE_MAX, &file, &reason);
    if (e == ERR_NOT_FOUND) {
        witness_seen_nothing(out);
        e = OK;
    } else if (e != OK) {
        e = err_set(why, e, "%.400s", reason.text);
    } else if ((e = seen_read(buffer_bytes(&file), origin, self, out, &reason)) != OK) {
        e = err_set(why, e == ERR_NO_MEMORY ? e : ERR_DENIED,
                    "%.200s is not what this witness wrote: %.200s", path, reason.text);
    }
    buffer_finish(&file);
    free(path);
    return e;
}
