#include "controlplane/commands.h"

#include <errno.h>
#include <stdio.h>
#include <unistd.h>

#include "controlplane/audit/journal.h"
#include "controlplane/credentials/credentials.h"
#include "controlplane/credentials/join_token.h"
#include "controlplane/state.h"

enum { ARENA_BLOCK = 64 << 10, ARENA_CAP = 64 << 20, SECRET_NAME_MAX = 128 };

/* Before it is done, as what people do over the network: who may run this may do it, but not
 * unseen. */
static enum err record(const struct commands_context *context, const struct state *state,
                       const char *action, const char *object, struct err_text *why)
{
    const struct journal_options options = {.store = state->store, .clock = context->clock};
    Chaperone__V1__Action what = CHAPERONE__V1__ACTION__INIT;
    const struct journal_entry entry = {.action = &what};
    struct journal *journal = journal_create(&options);
    char from[64];
    (void)snprintf(from, sizeof(from), "command line, uid %lu", (unsigned long)getuid());
    what.action = (char *)(uintptr_t)action;
    what.object = (char *)(uintptr_t)object;
    what.from = from;
    enum err e = journal == NULL ? ERR_NO_MEMORY : journal_append(journal, &entry, why);
    journal_destroy(journal);
    return e == OK || why->text[0] != '\0'
               ? e
               : err_set(why, e, "this cannot be recorded, and is not done: %s", err_name(e));
}

static enum err read_secret(int fd, struct buffer *out, struct err_text *why)
{
    /* Room for all at once: growing would leave copies behind. One byte more shows what is too
     * large. */
    uint8_t *at = buffer_reserve(out, VAULT_SECRET_CAP + 1);
    if (at == NULL) {
        return ERR_NO_MEMORY;
    }
    size_t size = 0;
    while (size <= VAULT_SECRET_CAP) {
        ssize_t n = read(fd, at + size, VAULT_SECRET_CAP + 1 - size);
        if (n < 0 && errno == EINTR) {
            continue;
        }
        if (n < 0) {
            return err_set(why, ERR_IO, "the secret cannot be read: %s", strerror(errno));
        }
        if (n == 0) {
            break;
        }
        size += (size_t)n;
    }
    if (size > VAULT_SECRET_CAP) {
        return err_set(why, ERR_LIMIT, "a secret has at most %d bytes", VAULT_SECRET_CAP);
    }
    size -= size > 0 && at[size - 1] == '\n' ? 1 : 0;
    size -= size > 0 && at[size - 1] == '\r' ? 1 : 0;
    if (size == 0) {
        return err_set(why, ERR_INVALID, "expected the secret on standard input, found nothing");
    }
    buffer_commit(out, size);
    return OK;
}

enum err commands_credential_set(const struct commands_context *context, const char *name, int fd,
                                 struct err_text *why)
{
    struct state state = {0};
    struct buffer secret;
    buffer_init(&secret, VAULT_SECRET_CAP + 1);
    if (name[0] == '\0' || strlen(name) > SECRET_NAME_MAX) {
        return err_set(why, ERR_INVALID, "a name has between 1 and %d bytes", SECRET_NAME_MAX);
    }
    enum err e = read_secret(fd, &secret, why);
    if (e == OK) {
        e = state_open(context->config->data, &context->config->store, NULL, &state, why);
    }
    e = e == OK ? record(context, &state, "credential_set", name, why) : e;
    if (e == OK) {
        e = credentials_put(state.vault, state.store, name, buffer_bytes(&secret),
                            clock_wall(&context->clock), why);
    }
    buffer_wipe(&secret);
    state_close(&state);
    if (e == OK) {
        printf("%s is stored\n", name);
    }
    return e;
}

enum err commands_credential_list(const struct commands_context *context, struct err_text *why)
{
    struct state state = {0};
    struct store_secret *secrets = NULL;
    size_t count = 0;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY
                               : state_open(context->config->data, &context->config->store, NULL,
                                            &state, why);
    if (e == OK) {
        e = store_secret_list(state.store, arena, &secrets, &count);
        if (e != OK) {
            (void)err_set(why, e, "the store cannot be read: %s", err_name(e));
        }
    }
    for (size_t i = 0; e == OK && i < count; i++) {
        char time[CLOCK_RFC3339_SIZE];
        clock_format_rfc3339(secrets[i].updated_ns, time);
        printf("%s\t%s\n", secrets[i].name, time);
    }
    state_close(&state);
    arena_destroy(arena);
    return e;
}

enum err commands_credential_remove(const struct commands_context *context, const char *name,
                                    struct err_text *why)
{
    struct state state = {0};
    enum err e = state_open(context->config->data, &context->config->store, NULL, &state, why);
    e = e == OK ? record(context, &state, "credential_remove", name, why) : e;
    if (e == OK) {
        e = store_secret_delete(state.store, name);
        if (e != OK) {
            (void)err_set(why, e,
                          e == ERR_NOT_FOUND ? "no secret \"%.128s\" is stored"
                                             : "the secret \"%.128s\" cannot be removed",
                          name);
        }
    }
    state_close(&state);
    if (e == OK) {
        printf("%s is removed\n", name);
    }
    return e;
}

enum err commands_join_token_create(const struct commands_context *context, const char *name,
                                    int64_t lifetime_ns, struct err_text *why)
{
    struct state state = {0};
    char token[JOIN_TOKEN_SIZE];
    int64_t expires_ns = 0;
    enum err e = state_open(context->config->data, &context->config->store, NULL, &state, why);
    e = e == OK ? record(context, &state, "join_token", name, why) : e;
    if (e == OK) {
        e = join_token_create(state.store, name, "command line", lifetime_ns,
                              clock_wall(&context->clock), token, &expires_ns, why);
    }
    state_close(&state);
    if (e == OK) {
        printf("%s\n", token);
        bytes_wipe(token, sizeof(token));
    }
    return e;
}
