#include "cli/login/store.h"

#include <cjson/cJSON.h>
#include <curl/curl.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/file.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "controlplane/identity/strict_json.h"

enum { FILE_MAX = 256 << 10 };

static const int64_t SECOND = 1000000000;

static void free_secret(char **text)
{
    if (*text != NULL) {
        bytes_wipe(*text, strlen(*text));
        free(*text);
        *text = NULL;
    }
}

void login_stored_finish(struct login_stored *s)
{
    free_secret(&s->token);
    free_secret(&s->refresh_token);
    free(s->server);
    free(s->issuer);
    free(s->client_id);
    free(s->ca_file);
    free(s->audience);
    free(s->subject);
    free(s->name);
    *s = (struct login_stored){0};
}

/* ---- where ------------------------------------------------------------------------------ */

static enum err find_directory(char out[PATH_MAX], struct err_text *why)
{
    const char *state = getenv("XDG_STATE_HOME");
    const char *home = getenv("HOME");
    int size = state != NULL && state[0] == '/'
                   ? snprintf(out, PATH_MAX, "%s/chaperone/logins", state)
               : home != NULL && home[0] == '/'
                   ? snprintf(out, PATH_MAX, "%s/.local/state/chaperone/logins", home)
                   : -1;
    return size > 0 && size < PATH_MAX
               ? OK
               : err_set(why, ERR_NOT_FOUND, "where are logins kept? HOME does not say it");
}

/* A server's name holds a colon, and may hold brackets. */
static enum err find_file(const char *server, char out[PATH_MAX], struct err_text *why)
{
    char directory[PATH_MAX];
    enum err e = find_directory(directory, why);
    if (e != OK) {
        return e;
    }
    char *name = curl_easy_escape(NULL, server, 0);
    if (name == NULL) {
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    int size = snprintf(out, PATH_MAX, "%s/%s.json", directory, name);
    curl_free(name);
    return size > 0 && size < PATH_MAX ? OK : err_set(why, ERR_LIMIT, "the path is too long");
}

static enum err make_directories(struct err_text *why)
{
    char path[PATH_MAX];
    enum err e = find_directory(path, why);
    if (e != OK) {
        return e;
    }
    for (char *slash = strchr(path + 1, '/');; slash = strchr(slash + 1, '/')) {
        if (slash != NULL) {
            *slash = '\0';
        }
        if (mkdir(path, 0700) != 0 && errno != EEXIST) {
            return err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
        }
        if (slash == NULL) {
            break;
        }
        *slash = '/';
    }
    /* It may have been made by somebody else's hand. */
    return chmod(path, 0700) == 0 ? OK : err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
}

enum err login_store_lock(int *out_fd, struct err_text *why)
{
    char path[PATH_MAX];
    enum err e = make_directories(why);
    e = e != OK ? e : find_directory(path, why);
    if (e != OK) {
        return e;
    }
    int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
    int locked = -1;
    while (fd >= 0 && (locked = flock(fd, LOCK_EX)) != 0 && errno == EINTR) {
    }
    if (fd < 0 || locked != 0) {
        e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
        if (fd >= 0) {
            (void)close(fd);
        }
        return e;
    }
    *out_fd = fd;
    return OK;
}

/* ---- reading ---------------------------------------------------------------------------- */

static enum err copy_member(const cJSON *object, const char *name, bool needed, char **out)
{
    const char *text = strict_json_string(object, name);
    if (text == NULL || text[0] == '\0') {
        return needed ? ERR_INVALID : OK;
    }
    *out = strdup(text);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

static void wipe_member(cJSON *object, const char *name)
{
    char *text = cJSON_GetStringValue(cJSON_GetObjectItemCaseSensitive(object, name));
    if (text != NULL) {
        bytes_wipe(text, strlen(text));
    }
}

static enum err read_members(const cJSON *object, const char *server, struct login_stored *s)
{
    const cJSON *expires = cJSON_GetObjectItemCaseSensitive(object, "expires");
    const char *kind = strict_json_string(object, "kind");
    enum err e = copy_member(object, "server", true, &s->server);
    e = e != OK ? e : copy_member(object, "issuer", true, &s->issuer);
    e = e != OK ? e : copy_member(object, "client_id", true, &s->client_id);
    e = e != OK ? e : copy_member(object, "ca_file", false, &s->ca_file);
    e = e != OK ? e : copy_member(object, "audience", false, &s->audience);
    e = e != OK ? e : copy_member(object, "token", true, &s->token);
    e = e != OK ? e : copy_member(object, "refresh_token", false, &s->refresh_token);
    e = e != OK ? e : copy_member(object, "subject", false, &s->subject);
    e = e != OK ? e : copy_member(object, "name", false, &s->name);
    if (e == OK && (strcmp(s->server, server) != 0 || kind == NULL)) {
        e = ERR_INVALID;
    }
    s->is_access = kind != NULL && strcmp(kind, "access") == 0;
    if (cJSON_IsNumber(expires) && expires->valuedouble > 0 && expires->valuedouble < 9e9) {
        s->expires_ns = (int64_t)expires->valuedouble * SECOND;
    }
    return e;
}

static enum err read_private(const char *path, struct buffer *out, struct err_text *why)
{
    struct stat status;
    int fd = open(path, O_RDONLY | O_CLOEXEC | O_NOFOLLOW);
    if (fd < 0) {
        enum err e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
        return err_set(why, e, "%s: %s", path, strerror(errno));
    }
    enum err e = OK;
    uint8_t *room = buffer_reserve(out, FILE_MAX);
    ssize_t size = 0;
    if (fstat(fd, &status) != 0 || !S_ISREG(status.st_mode) || (status.st_mode & 077) != 0 ||
        status.st_uid != geteuid()) {
        e = err_set(why, ERR_DENIED,
                    "%s may be read by others than you: it is not used; log in again", path);
    } else if (room == NULL) {
        e = err_set(why, ERR_NO_MEMORY, "out of memory");
    } else if ((size = read(fd, room, FILE_MAX)) < 0) {
        e = err_set(why, ERR_IO, "%s: %s", path, strerror(errno));
    } else {
        buffer_commit(out, (size_t)size);
    }
    (void)close(fd);
    return e;
}

enum err login_store_read(const char *server, struct login_stored *out, struct err_text *why)
{
    char path[PATH_MAX];
    struct buffer file;
    struct login_stored s = {0};
    cJSON *object = NULL;
    enum err e = find_file(server, path, why);
    if (e != OK) {
        return e;
    }
    buffer_init(&file, FILE_MAX);
    e = read_private(path, &file, why);
    if (e == OK && (strict_json_parse(buffer_bytes(&file), "it", &object, NULL) != OK ||
                    read_members(object, server, &s) != OK)) {
        e = err_set(why, ERR_INVALID, "%s holds no login; log in again", path);
    }
    wipe_member(object, "token");
    wipe_member(object, "refresh_token");
    cJSON_Delete(object);
    buffer_wipe(&file);
    if (e != OK) {
        login_stored_finish(&s);
        return e;
    }
    *out = s;
    return OK;
}

/* ---- writing ---------------------------------------------------------------------------- */

static bool put(cJSON *object, const char *name, const char *text)
{
    return text == NULL || text[0] == '\0' || cJSON_AddStringToObject(object, name, text) != NULL;
}

/* Returns owned, a secret; NULL when memory is short. */
static char *print(const struct login_stored *s)
{
    cJSON *object = cJSON_CreateObject();
    bool ok = object != NULL && put(object, "server", s->server) &&
              put(object, "issuer", s->issuer) && put(object, "client_id", s->client_id) &&
              put(object, "ca_file", s->ca_file) && put(object, "audience", s->audience) &&
              put(object, "kind", s->is_access ? "access" : "id") &&
              put(object, "token", s->token) && put(object, "refresh_token", s->refresh_token) &&
              put(object, "subject", s->subject) && put(object, "name", s->name) &&
              cJSON_AddNumberToObject(object, "expires", (double)(s->expires_ns / SECOND)) != NULL;
    char *text = ok ? cJSON_PrintUnformatted(object) : NULL;
    wipe_member(object, "token");
    wipe_member(object, "refresh_token");
    cJSON_Delete(object);
    return text;
}

enum err login_store_write(const struct login_stored *s, struct err_text *why)
{
    char path[PATH_MAX];
    enum err e = make_directories(why);
    e = e != OK ? e : find_file(s->server, path, why);
    if (e != OK) {
        return e;
    }
    char *text = print(s);
    if (text == NULL) {
        return err_set(why, ERR_NO_MEMORY, "out of memory");
    }
    e = file_replace(path, 0600, bytes_of_string(text), why);
    bytes_wipe(text, strlen(text));
    cJSON_free(text);
    return e;
}

enum err login_store_remove(const char *server, struct err_text *why)
{
    char path[PATH_MAX];
    enum err e = find_file(server, path, why);
    if (e != OK) {
        return e;
    }
    if (unlink(path) == 0) {
        return OK;
    }
    e = errno == ENOENT ? ERR_NOT_FOUND : ERR_IO;
    return err_set(why, e, "%s: %s", path, strerror(errno));
}
