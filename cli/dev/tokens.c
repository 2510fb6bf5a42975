#include "cli/dev/tokens.h"

#include <stdlib.h>

#include "cli/dev/stack_files.h"
#include "cli/issuer/issuer.h"
#include "cli/process/service.h"

struct tokens {
    const struct stack *stack;
    const struct identity_option *identity;
    struct issuer *issuer;
};

static enum err start_issuer(struct tokens *t, struct stack *stack, struct clock clock,
                             struct err_text *error)
{
    char directory[PATH_MAX];
    enum err e = stack_make_directory(stack, "issuer", error);
    if (e == OK && service_free_port(stack->issuer_port, &stack->issuer_port) != OK) {
        e = err_set(error, ERR_IO, "no free port for the issuer");
    }
    stack_path(stack, "issuer", directory);
    struct issuer_options options = {
        .port = stack->issuer_port, .directory = directory, .clock = clock};
    e = e != OK ? e : issuer_create(&options, &t->issuer, error);
    return e != OK ? e : issuer_start(t->issuer, error);
}

enum err tokens_start(struct stack *stack, const struct identity_option *identity,
                      struct clock clock, struct tokens **out, struct err_text *error)
{
    struct tokens *t = calloc(1, sizeof(*t));
    if (t == NULL) {
        return err_set(error, ERR_NO_MEMORY, "out of memory");
    }
    t->stack = stack;
    t->identity = identity;
    enum err e = start_issuer(t, stack, clock, error);
    if (e != OK) {
        tokens_stop(t);
        return e;
    }
    *out = t;
    return OK;
}

void tokens_stop(struct tokens *t)
{
    if (t != NULL) {
        issuer_destroy(t->issuer);
        free(t);
    }
}

const char *tokens_issuer_url(const struct tokens *t)
{
    return issuer_url(t->issuer);
}

static void wipe(char *token)
{
    if (token != NULL) {
        bytes_wipe(token, strlen(token));
        free(token);
    }
}

static enum err write_token(struct tokens *t, const struct issuer_token *what, const char *file,
                            char **out, struct err_text *error)
{
    char *token = NULL;
    enum err e = issuer_mint(t->issuer, what, &token, error);
    e = e != OK ? e : stack_write(t->stack, file, bytes_of_string(token), error);
    if (e == OK && out != NULL) {
        *out = token;
    } else {
        wipe(token);
    }
    return e;
}

enum err tokens_refresh(struct tokens *t, char **out_operator, struct err_text *error)
{
    static const char *const operators[] = {STACK_OPERATORS};
    const struct identity_option *i = t->identity;
    struct issuer_token agent = {.subject = i->subject,
                                 .groups = i->groups,
                                 .group_count = i->group_count,
                                 .lifetime_s = TOKENS_LIFETIME_S,
                                 .name = i->name,
                                 .reason = i->reason,
                                 .on_behalf_of = i->on_behalf_of,
                                 .on_behalf_of_count = i->on_behalf_of_count};
    struct issuer_token person = {.subject = "operator",
                                  .groups = operators,
                                  .group_count = 1,
                                  .lifetime_s = TOKENS_LIFETIME_S};
    enum err e = write_token(t, &agent, "agent.token", NULL, error);
    return e != OK ? e : write_token(t, &person, "operator.token", out_operator, error);
}
