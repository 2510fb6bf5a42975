#include "cli/log/kept.h"

#include <errno.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/file.h"
#include "cli/text_file.h"

enum { KEYS_FILE_MAX = 64 << 10 };

void kept_log_init(struct kept_log *k)
{
    *k = (struct kept_log){.key_count = 0};
    buffer_init(&k->note, TLOG_NOTE_SIZE_MAX);
}

void kept_log_finish(struct kept_log *k)
{
    buffer_finish(&k->note);
}

/* --- where -------------------------------------------------------------------------------------
 */

static enum err make_parents(char *path, struct err_text *why)
{
    for (char *slash = strchr(path + 1, '/'); slash != NULL; slash = strchr(slash + 1, '/')) {
        *slash = '\0';
        bool made = mkdir(path, 0700) == 0 || errno == EEXIST;
        if (!made) {
            return err_set(why, ERR_IO, "the directory %.300s cannot be made: %s", path,
                           strerror(errno));
        }
        *slash = '/';
    }
    return OK;
}

enum err kept_log_path(const char *server, char **out, struct err_text *why)
{
    const char *state = getenv("XDG_STATE_HOME"), *home = getenv("HOME");
    char path[PATH_MAX];
    int n = state != NULL && state[0] == '/'
                ? snprintf(path, sizeof(path), "%s/chaperone/logs/", state)
            : home != NULL && home[0] == '/'
                ? snprintf(path, sizeof(path), "%s/.local/state/chaperone/logs/", home)
                : -1;
    size_t size = strlen(server);
    if (n < 0 || (size_t)n + size + 16 > sizeof(path)) {
        return err_set(why, ERR_NOT_FOUND, "where are checkpoints kept? HOME does not say it");
    }
    for (size_t i = 0; i <= size; i++) { /* a name of a file, whatever the server is called */
        path[(size_t)n + i] = server[i] == '/' ? '_' : server[i];
    }
    enum err e = make_parents(path, why);
    if (e == OK) {
        *out = strdup(path);
        e = *out == NULL ? ERR_NO_MEMORY : OK;
    }
    return e;
}

/* --- files -------------------------------------------------------------------------------------
 */

enum err kept_log_add_key(struct kept_log *k, const char *text, struct err_text *why)
{
    struct tlog_verifier v;
    enum err e = tlog_verifier_parse(bytes_of_string(text), &v, why);
    if (e == OK && v.type != TLOG_KEY_ED25519) {
        e = err_set(why, ERR_INVALID, "it is the key of a witness, not of a log");
    }
    for (size_t i = 0; e == OK && i < k->key_count; i++) {
        if (memcmp(&k->keys[i], &v, sizeof(v)) == 0) {
            return OK;
        }
    }
    if (e == OK && k->key_count == KEPT_KEYS_MAX) {
        e = err_set(why, ERR_LIMIT, "more than %d keys of one log", KEPT_KEYS_MAX);
    }
    if (e == OK) {
        k->keys[k->key_count++] = v;
    }
    return e;
}

static enum err read_keys(const char *path, struct kept_log *out, struct err_text *why)
{
    struct buffer text;
    char name[PATH_MAX];
    (void)snprintf(name, sizeof(name), "%s.keys", path);
    enum err e = text_file_read(name, KEYS_FILE_MAX, &text, why);
    char *copy = e == OK ? bytes_to_string(buffer_bytes(&text)) : NULL;
    char *rest = copy;
    for (char *line = strsep(&rest, "\n"); e == OK && line != NULL; line = strsep(&rest, "\n")) {
        e = line[0] == '\0' ? OK : kept_log_add_key(out, line, why);
    }
    free(copy);
    buffer_finish(&text);
    return e;
}

enum err kept_log_read(const char *path, struct kept_log *out, struct err_text *why)
{
    struct buffer note;
    enum err e = text_file_read(path, TLOG_NOTE_SIZE_MAX, &note, why);
    if (e == OK) {
        e = buffer_append(&out->note, buffer_bytes(&note));
    }
    buffer_finish(&note);
    enum err keys = e == OK || e == ERR_NOT_FOUND ? read_keys(path, out, why) : OK;
    e = e == OK || e == ERR_NOT_FOUND ? keys : e;
    return e == ERR_NOT_FOUND ? OK : e;
}

enum err kept_log_write(const char *path, const struct kept_log *k, struct err_text *why)
{
    struct buffer text;
    char name[PATH_MAX];
    enum err e = OK;
    buffer_init(&text, KEYS_FILE_MAX);
    (void)snprintf(name, sizeof(name), "%s.keys", path);
    for (size_t i = 0; e == OK && i < k->key_count; i++) {
        e = tlog_verifier_format(&k->keys[i], &text);
        if (e == OK) {
            e = buffer_append_string(&text, "\n");
        }
    }
    if (e == OK) {
        e = file_replace(name, 0644, buffer_bytes(&text), why);
    }
    if (e == OK) {
        e = file_replace(path, 0644, buffer_bytes(&k->note), why);
    }
    buffer_finish(&text);
    return e;
}
