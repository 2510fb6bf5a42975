#include "cli/login/browser.h"

#include <fcntl.h>
#include <limits.h>
#include <signal.h>
#include <spawn.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

static bool is_set(const char *name)
{
    const char *value = getenv(name);
    return value != NULL && value[0] != '\0';
}

static bool is_in_path(const char *program)
{
    const char *path = getenv("PATH");
    while (path != NULL && *path != '\0') {
        char candidate[PATH_MAX];
        size_t size = strcspn(path, ":");
        int written = snprintf(candidate, sizeof(candidate), "%.*s/%s", (int)size, path, program);
        if (size > 0 && written > 0 && (size_t)written < sizeof(candidate) &&
            access(candidate, X_OK) == 0) {
            return true;
        }
        path += size + (path[size] == ':' ? 1 : 0);
    }
    return false;
}

bool login_browser_is_there(void)
{
    return (is_set("DISPLAY") || is_set("WAYLAND_DISPLAY")) && is_in_path("xdg-open");
}

/* In a session of its own, so that Ctrl-C here does not close it; without our signal mask,
 * output and connections. */
static bool prepare(posix_spawnattr_t *attributes, posix_spawn_file_actions_t *files)
{
    sigset_t none;
    (void)sigemptyset(&none);
    return posix_spawnattr_setflags(attributes, POSIX_SPAWN_SETSID | POSIX_SPAWN_SETSIGMASK) == 0 &&
           posix_spawnattr_setsigmask(attributes, &none) == 0 &&
           posix_spawn_file_actions_addopen(files, STDIN_FILENO, "/dev/null", O_RDWR, 0) == 0 &&
           posix_spawn_file_actions_adddup2(files, STDIN_FILENO, STDOUT_FILENO) == 0 &&
           posix_spawn_file_actions_adddup2(files, STDIN_FILENO, STDERR_FILENO) == 0 &&
           posix_spawn_file_actions_addclosefrom_np(files, STDERR_FILENO + 1) == 0;
}

bool login_browser_open(const char *url)
{
    posix_spawnattr_t attributes;
    posix_spawn_file_actions_t files;
    char *argv[] = {(char *)(uintptr_t) "xdg-open", (char *)(uintptr_t)url, NULL};
    pid_t pid = 0;
    if (posix_spawnattr_init(&attributes) != 0) {
        return false;
    }
    if (posix_spawn_file_actions_init(&files) != 0) {
        (void)posix_spawnattr_destroy(&attributes);
        return false;
    }
    bool ok = prepare(&attributes, &files) &&
              posix_spawnp(&pid, argv[0], &files, &attributes, argv, environ) == 0;
    (void)posix_spawn_file_actions_destroy(&files);
    (void)posix_spawnattr_destroy(&attributes);
    return ok;
}
