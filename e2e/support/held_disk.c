/* Preloaded: each fsync and fdatasync says so in the FIFO $HELD_DISK_CALLS, with the name of its
 * file, and then waits as long as somebody has a lock on $HELD_DISK_LOCK. */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <unistd.h>

static void say(int synced)
{
    char link[64], name[PATH_MAX + 1];
    const char *path = getenv("HELD_DISK_CALLS");
    int fd = path == NULL ? -1 : open(path, O_WRONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) {
        return;
    }
    (void)snprintf(link, sizeof(link), "/proc/self/fd/%d", synced);
    ssize_t size = readlink(link, name, sizeof(name) - 1);
    if (size > 0) {
        name[size++] = '\n';
        (void)!write(fd, name, (size_t)size);
    }
    (void)close(fd);
}

static void wait_for_the_disk(void)
{
    const char *path = getenv("HELD_DISK_LOCK");
    int fd = path == NULL ? -1 : open(path, O_RDONLY | O_CLOEXEC);
    if (fd >= 0) {
        (void)flock(fd, LOCK_SH);
        (void)close(fd);
    }
}

int fsync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fsync");
    say(fd);
    wait_for_the_disk();
    return real(fd);
}

int fdatasync(int fd)
{
    int (*real)(int) = (int (*)(int))dlsym(RTLD_NEXT, "fdatasync");
    say(fd);
    wait_for_the_disk();
    return real(fd);
}
