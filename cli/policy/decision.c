#include "cli/policy/decision.h"

#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "cli/policy/decision_internal.h"
#include "sidecar/operation/question.h"
#include "sidecar/operation/statements.h"

enum { ARENA_BLOCK = 16 << 10, ARENA_CAP = 256 << 20 };

const char *decision_effect_name(enum policy_effect effect)
{
    switch (effect) {
    case POLICY_ALLOW: return "allow";
    case POLICY_HOLD: return "hold";
    case POLICY_DENY: break;
    }
    return "deny";
}

enum err decision_parse_identity(const char *option, const char *text, struct identity_option *out,
                                 struct err_text *error)
{
    struct err_text why = {0};
    enum err e = identity_option_parse(text, out, &why);
    if (e != OK) {
        static const char prefix[] = "--identity: ";
        const char *sentence = why.text;
        if (strncmp(sentence, prefix, sizeof(prefix) - 1) == 0) {
            sentence += sizeof(prefix) - 1;
        }
        return err_set(error, e, "%s: %.400s", option, sentence);
    }
    if (strstr(text, "groups=") == NULL) {
        out->group_count = 0;
    }
    return OK;
}

/* --- who and what ------------------------------------------------------------------------------
 */

bool decision_describe_session(struct arena *arena, const struct identity_option *as,
                               const char *resource, const char *protocol,
                               Chaperone__V1__SessionOpened *out)
{
    Chaperone__V1__Identity *who = arena_alloc(arena, sizeof(*who));
    Chaperone__V1__Delegate *delegates =
        arena_alloc(arena, (as->on_behalf_of_count + 1) * sizeof(*delegates));
    out->on_behalf_of = arena_alloc(arena, (as->on_behalf_of_count + 1) * sizeof(void *));
    if (who == NULL || delegates == NULL || out->on_behalf_of == NULL) {
        return false;
    }
    chaperone__v1__identity__init(who);
    who->subject = (char *)(uintptr_t)as->subject;
    who->groups = (char **)(uintptr_t)as->groups;
    who->n_groups = as->group_count;
    for (size_t i = 0; i < as->on_behalf_of_count; i++) {
        chaperone__v1__delegate__init(&delegates[i]);
        delegates[i].subject = (char *)(uintptr_t)as->on_behalf_of[i];
        out->on_behalf_of[i] = &delegates[i];
    }
    out->n_on_behalf_of = as->on_behalf_of_count;
    out->identity = who;
    out->resource = (char *)(uintptr_t)resource;
    out->protocol = (char *)(uintptr_t)protocol;
    return true;
}

/* --- the parts ---------------------------------------------------------------------------------
 */

/* A rule that forbids may speak of an object only together with a command; one that allows covers
 * each alone. */
static void decide_part(const struct policy *policy, const struct policy_request *whole,
                        const char *const *command, const struct policy_object *object,
                        struct policy_verdict *out)
{
    struct policy_request alone = *whole;
    alone.commands = command;
    alone.command_count = command == NULL ? 0 : 1;
    alone.objects = object;
    alone.object_count = object == NULL ? 0 : 1;
    /* What the statements do without an object is no part of this one. */
    alone.accesses = NULL;
    alone.access_count = 0;
    policy_evaluate(policy, &alone, out);
    if (object != NULL && out->effect == POLICY_ALLOW) {
        struct policy_verdict together;
        alone.commands = whole->commands;
        alone.command_count = whole->command_count;
        policy_evaluate(policy, &alone, &together);
        if (together.effect != POLICY_ALLOW && strcmp(together.rule, "default") != 0) {
            *out = together;
        }
    }
}

static enum err decide_parts(struct decision *d, const struct policy *policy,
                             const struct policy_request *whole)
{
    size_t object = 0;
    d->parts =
        arena_alloc(d->arena, (whole->command_count + whole->object_count + 1) * sizeof(*d->parts));
    if (d->parts == NULL) {
        return ERR_NO_MEMORY;
    }
    for (size_t i = 0; i < d->analysis->statement_count; i++) {
        struct decision_part *part = &d->parts[d->part_count++];
        *part = (struct decision_part){.statement = i + 1,
                                       .is_command = true,
                                       .access = "",
                                       .kind = "",
                                       .name = whole->commands[i]};
        decide_part(policy, whole, &whole->commands[i], NULL, &part->verdict);
        for (size_t j = 0; j < d->analysis->statements[i].object_count; j++, object++) {
            const struct policy_object *o = &whole->objects[object];
            part = &d->parts[d->part_count++];
            *part = (struct decision_part){
                .statement = i + 1, .access = o->access, .kind = o->kind, .name = o->name};
            decide_part(policy, whole, NULL, o, &part->verdict);
        }
    }
    return OK;
}

/* What one part alone would not get, the text as a whole may: a hold rule covers reading the table
 * that the same operation changes. Nothing that is held as a whole is refused in a part. */
static void hold_parts(struct decision *d)
{
    for (size_t i = 0; d->verdict.effect == POLICY_HOLD && i < d->part_count; i++) {
        if (d->parts[i].verdict.effect == POLICY_DENY) {
            d->parts[i].verdict = d->verdict;
        }
    }
}

static enum err decide_masking(struct decision *d, const struct policy *policy,
                               const struct policy_request *request, struct masking *masking,
                               const char *sql)
{
    if (masking == NULL || d->verdict.effect == POLICY_DENY) {
        return OK;
    }
    enum err e = masking_plan(masking, policy, request, sql, d->analysis, d->arena, &d->masking);
    if (e == OK && d->masking.refused_by != NULL) {
        d->verdict = (struct policy_verdict){
            .effect = POLICY_DENY, .rule = d->masking.refused_by, .message = d->masking.refusal};
    }
    return e;
}

static enum err decide(struct decision *d, const struct policy *policy,
                       const struct identity_option *as, const char *resource,
                       struct masking *masking, const char *sql)
{
    Chaperone__V1__SessionOpened opened = CHAPERONE__V1__SESSION_OPENED__INIT;
    Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
    struct policy_request request;
    const struct clock clock = clock_system();
    if (!decision_describe_session(d->arena, as, resource, "postgres", &opened) ||
        !statements_describe(d->arena, d->analysis, &intent) ||
        !question_ask(d->arena, &opened, &intent, clock_wall(&clock) / 1000000000, &request)) {
        return ERR_NO_MEMORY;
    }
    policy_evaluate(policy, &request, &d->verdict);
    enum err e = decide_parts(d, policy, &request);
    if (e != OK) {
        return e;
    }
    hold_parts(d);
    return decide_masking(d, policy, &request, masking, sql);
}

struct decision *decision_create(void)
{
    struct decision *d = calloc(1, sizeof(*d));
    if (d == NULL || (d->arena = arena_create(ARENA_BLOCK, ARENA_CAP)) == NULL) {
        free(d);
        return NULL;
    }
    return d;
}

enum err decision_make(const struct policy *policy, const struct identity_option *as,
                       const char *resource, struct masking *masking, const char *sql,
                       struct decision **out)
{
    struct decision *d = decision_create();
    if (d == NULL) {
        return ERR_NO_MEMORY;
    }
    enum err e = sql_analyse(bytes_of_string(sql), SQL_TEXT_SIZE_DEFAULT, &d->analysis, &d->error);
    if (e == OK) {
        e = decide(d, policy, as, resource, masking, sql);
    } else if (e != ERR_NO_MEMORY) { /* as the sidecar names it */
        d->verdict = (struct policy_verdict){
            .effect = POLICY_DENY, .rule = "understanding", .message = d->error.message};
        e = OK;
    }
    if (e != OK) {
        decision_destroy(d);
        return e;
    }
    *out = d;
    return OK;
}

void decision_destroy(struct decision *d)
{
    if (d != NULL) {
        sql_analysis_destroy(d->analysis);
        arena_destroy(d->arena);
        free(d);
    }
}

const struct policy_verdict *decision_verdict(const struct decision *d)
{
    return &d->verdict;
}

size_t decision_part_count(const struct decision *d)
{
    return d->part_count;
}

const struct decision_part *decision_part(const struct decision *d, size_t index)
{
    return &d->parts[index];
}

const struct masking_result *decision_masking(const struct decision *d)
{
    return &d->masking;
}
