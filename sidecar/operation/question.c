#include "sidecar/operation/question.h"

static bool fill_objects(struct arena *arena, const Chaperone__V1__Intent *intent,
                         struct policy_request *request)
{
    struct policy_object *objects = arena_alloc(arena, (intent->n_objects + 1) * sizeof(*objects));
    if (objects == NULL) {
        return false;
    }
    for (size_t i = 0; i < intent->n_objects; i++) {
        const Chaperone__V1__Object *o = intent->objects[i];
        objects[i] = (struct policy_object){.kind = o->kind,
                                            .name = o->name,
                                            .access = o->access,
                                            .columns = (const char *const *)o->columns,
                                            .column_count = o->n_columns};
    }
    request->objects = objects;
    request->object_count = intent->n_objects;
    return true;
}

static bool fill_behalf(struct arena *arena, const Chaperone__V1__SessionOpened *opened,
                        struct policy_request *request)
{
    const char **subjects = arena_alloc(arena, (opened->n_on_behalf_of + 1) * sizeof(*subjects));
    if (subjects == NULL) {
        return false;
    }
    for (size_t i = 0; i < opened->n_on_behalf_of; i++) {
        subjects[i] = opened->on_behalf_of[i]->subject;
    }
    request->on_behalf_of = subjects;
    request->on_behalf_of_count = opened->n_on_behalf_of;
    return true;
}

static bool fill_claims(struct arena *arena, const Chaperone__V1__Identity *identity,
                        struct policy_request *request)
{
    struct policy_claim *claims = arena_alloc(arena, (identity->n_claims + 1) * sizeof(*claims));
    if (claims == NULL) {
        return false;
    }
    for (size_t i = 0; i < identity->n_claims; i++) {
        claims[i] = (struct policy_claim){.path = identity->claims[i]->path,
                                          .value = identity->claims[i]->value};
    }
    request->claims = claims;
    request->claim_count = identity->n_claims;
    return true;
}

bool question_ask(struct arena *arena, const Chaperone__V1__SessionOpened *opened,
                  const Chaperone__V1__Intent *intent, int64_t now_unix_s,
                  struct policy_request *out)
{
    struct policy_request request = {
        .subject = opened->identity->subject,
        .groups = (const char *const *)opened->identity->groups,
        .group_count = opened->identity->n_groups,
        .resource = opened->resource,
        .protocol = opened->protocol,
        .commands = (const char *const *)intent->commands,
        .command_count = intent->n_commands,
        .accesses = (const char *const *)intent->accesses,
        .access_count = intent->n_accesses,
        .without_where = intent->without_where,
        .now_unix_s = now_unix_s,
    };
    if (!fill_claims(arena, opened->identity, &request) || !fill_objects(arena, intent, &request) ||
        !fill_behalf(arena, opened, &request)) {
        return false;
    }
    *out = request;
    return true;
}
