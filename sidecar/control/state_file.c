#include "sidecar/control/state_file.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"

enum { NAME_SIZE = 64 };

enum err state_directory_open(const char *path, int *out_dir, int *out_lock, struct err_text *why)
{
    struct stat status;
    if (mkdir(path, 0700) != 0 && errno != EEXIST) {
        return err_set(why, ERR_INVALID, "the state directory %s cannot be made: %s", path,
                       strerror(errno));
    }
    int dir = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    if (dir < 0) {
        return err_set(why, ERR_INVALID, "the state directory %s cannot be opened: %s", path,
                       strerror(errno));
    }
    int lock = -1;
    enum err result = OK;
    if (fstat(dir, &status) != 0 || status.st_uid != geteuid() || fchmod(dir, 0700) != 0) {
        result = err_set(why, ERR_INVALID, "the state directory %s belongs to another user", path);
    } else if ((lock = openat(dir, "lock", O_RDWR | O_CREAT | O_CLOEXEC, 0600)) < 0) {
        result = err_set(why, ERR_INVALID, "%s/lock cannot be opened: %s", path, strerror(errno));
    } else if (flock(lock, LOCK_EX | LOCK_NB) != 0) {
        result = err_set(why, ERR_EXISTS, "another sidecar uses the state directory %s", path);
    }
    if (result != OK) {
        if (lock >= 0) {
            (void)close(lock);
        }
        (void)close(dir);
        return result;
    }
    *out_dir = dir;
    *out_lock = lock;
    return OK;
}

enum err state_file_read(int dir, const char *name, struct buffer *out)
{
    int fd = openat(dir, name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        return errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    }
    enum err result = file_read_all(fd, out);
    (void)close(fd);
    return result;
}

static enum err write_all(int fd, struct bytes content)
{
    if (!file_write_all(fd, content)) {
        return errno == ENOSPC || errno == EDQUOT ? ERR_FULL : ERR_IO;
    }
    return fsync(fd) == 0 ? OK : ERR_IO;
}

enum err state_file_write(int dir, const char *name, struct bytes content)
{
    char temporary[NAME_SIZE];
    (void)snprintf(temporary, sizeof(temporary), "%s.new", name);
    int fd = openat(dir, temporary, O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC | O_NOFOLLOW, 0600);
    if (fd < 0) {
        return ERR_IO;
    }
    enum err result = write_all(fd, content);
    if (close(fd) != 0 && result == OK) {
        result = ERR_IO;
    }
    if (result == OK && (renameat(dir, temporary, dir, name) != 0 || fsync(dir) != 0)) {
        result = ERR_IO;
    }
    if (result != OK) {
        (void)unlinkat(dir, temporary, 0);
    }
    return result;
}
