/* policy diff: two revisions as people wrote them, compared by diff(1). */
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <spawn.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

#include "api/policy.pb-c.h"
#include "base/file.h"
#include "cli/command_policy.h"
#include "cli/commands.h"
#include "cli/remote.h"
#include "formats/json.h"
#include "formats/text.h"

enum { DIFF_SIZE_MAX = 32 << 20, DIFF_DIFFERENT = 1 };

extern char **environ;

/* A file of no directory, which the child inherits. -1: failed. */
static int make_file(struct bytes text)
{
    int fd = memfd_create("policy", 0);
    size_t done = 0;
    while (fd >= 0 && done < text.size) {
        ssize_t n = write(fd, text.data + done, text.size - done);
        if (n < 0 && errno != EINTR) {
            (void)close(fd);
            return -1;
        }
        done += n < 0 ? 0 : (size_t)n;
    }
    return fd;
}

static int spawn_diff(const int files[2], const uint64_t revisions[2], int out, pid_t *out_pid)
{
    char paths[2][32], labels[2][48];
    posix_spawn_file_actions_t actions;
    for (int n = 0; n < 2; n++) {
        (void)snprintf(paths[n], sizeof(paths[n]), "/dev/fd/%d", files[n]);
        (void)snprintf(labels[n], sizeof(labels[n]), "revision %" PRIu64, revisions[n]);
    }
    char *argv[] = {(char *)"diff", (char *)"-u", (char *)"--label", labels[0], (char *)"--label",
                    labels[1],      paths[0],     paths[1],          NULL};
    if (posix_spawn_file_actions_init(&actions) != 0) {
        return ENOMEM;
    }
    int rc = posix_spawn_file_actions_adddup2(&actions, out, STDOUT_FILENO);
    rc = rc != 0 ? rc : posix_spawnp(out_pid, "diff", &actions, NULL, argv, environ);
    (void)posix_spawn_file_actions_destroy(&actions);
    return rc;
}

static enum err run_diff(const int files[2], const uint64_t revisions[2], struct buffer *out,
                         struct err_text *error)
{
    int ends[2];
    pid_t pid = 0;
    if (pipe2(ends, O_CLOEXEC) != 0) {
        return err_set(error, ERR_IO, "pipe: %s", strerror(errno));
    }
    int rc = spawn_diff(files, revisions, ends[1], &pid);
    (void)close(ends[1]);
    enum err e = rc == 0 ? file_read_all(ends[0], out)
                         : err_set(error, ERR_IO, "diff cannot be run: %s", strerror(rc));
    (void)close(ends[0]);
    int status = 0;
    if (rc == 0 && waitpid(pid, &status, 0) == pid &&
        (!WIFEXITED(status) || WEXITSTATUS(status) > DIFF_DIFFERENT) && e == OK) {
        e = err_set(error, ERR_IO, "diff failed");
    }
    return e;
}

static enum err print_diff(const struct invocation *i, const uint64_t revisions[2],
                           struct bytes text)
{
    if (!options_flag(&i->options, "json")) {
        text_write(i->out.out, text, TEXT_LINES);
        return OK;
    }
    struct json j;
    json_init(&j);
    json_add_unsigned(&j, j.root, "from", revisions[0]);
    json_add_unsigned(&j, j.root, "to", revisions[1]);
    json_add_text(&j, j.root, "diff", text);
    enum err e = json_write_line(&j, i->out.out);
    json_finish(&j);
    return e;
}

static int get_file(const struct invocation *i, struct remote *remote, uint64_t revision,
                    int *out_file)
{
    Chaperone__V1__GetPolicyRequest request = CHAPERONE__V1__GET_POLICY_REQUEST__INIT;
    ProtobufCMessage *reply = NULL;
    request.revision = revision;
    int code =
        remote_call(i, remote, &chaperone__v1__policies__descriptor, "Get", &request.base, &reply);
    if (code == EXIT_YES) {
        const Chaperone__V1__GetPolicyResponse *r = (const Chaperone__V1__GetPolicyResponse *)reply;
        *out_file = make_file(bytes_of(r->source.data, r->source.len));
        protobuf_c_message_free_unpacked(reply, NULL);
        if (*out_file < 0) {
            code = command_fail(i, EXIT_NO, "memfd_create: %s", strerror(errno));
        }
    }
    return code;
}

static int compare(const struct invocation *i, const int files[2], const uint64_t revisions[2])
{
    struct buffer text;
    struct err_text error = {0};
    buffer_init(&text, DIFF_SIZE_MAX);
    enum err e = run_diff(files, revisions, &text, &error);
    e = e == OK ? print_diff(i, revisions, buffer_bytes(&text)) : e;
    buffer_finish(&text);
    return e == OK
               ? remote_flush(i)
               : command_fail(i, EXIT_NO, "%s", error.text[0] != '\0' ? error.text : err_name(e));
}

int command_policy_diff(struct invocation *i)
{
    struct remote remote;
    uint64_t revisions[2];
    int files[2] = {-1, -1};
    int code = EXIT_YES;
    for (int n = 0; n < 2; n++) {
        if (!command_policy_read_revision(i, i->options.arguments[n], &revisions[n], &code)) {
            return code;
        }
    }
    code = remote_open(i, &remote);
    if (code != EXIT_YES) {
        return code;
    }
    for (int n = 0; code == EXIT_YES && n < 2; n++) {
        code = get_file(i, &remote, revisions[n], &files[n]);
    }
    code = code == EXIT_YES ? compare(i, files, revisions) : code;
    for (int n = 0; n < 2; n++) {
        if (files[n] >= 0) {
            (void)close(files[n]);
        }
    }
    remote_close(&remote);
    return code;
}
