/* Rules that let an operation through: those that allow, and those that hold it. */
#include "policies/policy_decide.h"

void cover_take(struct cover *c, const struct policy *p, size_t index, bool is_lasting)
{
    const struct rule *rule = &p->rules[index];
    enum policy_durability level = rule->has_durability ? rule->durability
                                   : is_lasting         ? POLICY_HOST
                                                        : POLICY_PROCESS;
    if (c->rule == SIZE_MAX || level > c->level || (level == c->level && index < c->rule)) {
        c->rule = index;
        c->level = level;
    }
    if (rule->has_durability && rule->durability > c->asked) {
        c->asked = rule->durability;
    }
    c->record = rule->record > c->record ? rule->record : c->record;
    if (rule->max_rows != 0 && (c->max_rows == 0 || rule->max_rows < c->max_rows)) {
        c->max_rows = rule->max_rows;
    }
}

/* Each object is compared with each other: an agent may send thousands, and the loop waits. */
enum { BESIDE_OBJECTS_MAX = 1024 };

/* What else is done to the same table: an UPDATE or DELETE with a condition reads it as well. */
static uint32_t accesses_beside(const struct question *q, const struct target *t)
{
    uint32_t accesses = 0;
    for (size_t i = 0; q->r->object_count <= BESIDE_OBJECTS_MAX && i < q->r->object_count; i++) {
        const struct policy_object *o = &q->r->objects[i];
        if (o->name != NULL && o->access != NULL && t->object->name != NULL &&
            strcmp(o->name, t->object->name) == 0) {
            accesses |= access_parse(o->access);
        }
    }
    return accesses & (ACCESS_INSERT | ACCESS_UPDATE | ACCESS_DELETE);
}

void cover_object(const struct applicable *a, const struct question *q, const struct target *t,
                  struct cover *c)
{
    bool is_read = t->group == KIND_TABLE && t->access == ACCESS_READ;
    uint32_t beside = c->is_held && is_read ? accesses_beside(q, t) : 0;
    bool covered = false;
    for (size_t i = 0; i < a->cover_count; i++) {
        const struct rule *rule = &a->policy->rules[a->cover[i]];
        if (rule_covers(rule, t) ||
            (rule->effect == POLICY_HOLD && rule_covers_beside(rule, t, beside))) {
            cover_take(c, a->policy, a->cover[i], (t->access & ACCESS_LASTING) != 0);
            covered = true;
        }
    }
    if (!covered) {
        c->why_not = "no rule allows this for one of the objects it touches";
    }
}

static void cover_without_object(const struct applicable *a, const struct question *q,
                                 struct cover *c)
{
    /* What a rule with names may do where no name is seen: nothing that could be elsewhere. */
    const uint32_t nowhere = ACCESS_READ | ACCESS_EXPORT | ACCESS_LOAD | ACCESS_CALL |
                             ACCESS_TRANSACTION | ACCESS_SESSION | ACCESS_LOCK;
    uint32_t rest = q->without_object;
    for (size_t i = 0; q->without_object != 0 && i < a->cover_count; i++) {
        const struct rule *rule = &a->policy->rules[a->cover[i]];
        uint32_t covered = q->without_object & rule->covers & (rule->has_names ? nowhere : ~0u);
        if (covered != 0) {
            cover_take(c, a->policy, a->cover[i], (covered & ACCESS_LASTING) != 0);
            rest &= ~covered;
        }
    }
    if (rest != 0) {
        c->why_not = "no rule allows all that this does";
    }
}

static bool covers_command(const struct rule *rule, const char *tag, const struct command *c)
{
    return rule->covers_any_command || (rule->covers_classes & c->accesses) != 0 ||
           tag_listed(rule, tag) || (rule->copies != 0 && strcmp(tag, "COPY") == 0);
}

static void cover_command(const struct applicable *a, const struct question *q, const char *tag,
                          struct cover *c)
{
    const struct command *command = command_find(tag);
    /* Where nothing else shows what it does, the rules for it are those that count. */
    bool counts = (command->accesses & q->accesses) == 0;
    bool covered = false;
    for (size_t i = 0; i < a->cover_count && (!covered || counts); i++) {
        if (covers_command(&a->policy->rules[a->cover[i]], tag, command)) {
            covered = true;
            if (counts) {
                cover_take(c, a->policy, a->cover[i],
                           (command->accesses & ~(uint32_t)ACCESS_LASTING) == 0);
            }
        }
    }
    if (!covered) {
        c->why_not = "no rule allows this command";
    }
}

void cover_text(const struct applicable *a, const struct question *q, struct cover *c)
{
    cover_without_object(a, q, c);
    for (size_t i = 0; i < q->r->command_count; i++) {
        cover_command(a, q, q->r->commands[i], c);
    }
    if (q->is_unknown) {
        c->why_not = "what was not understood is not allowed";
    }
    /* Nothing is done, but somebody is here: any rule that lets them in covers it. */
    for (size_t i = 0; i < a->cover_count && c->rule == SIZE_MAX; i++) {
        cover_take(c, a->policy, a->cover[i], q->is_lasting);
    }
    if (c->rule == SIZE_MAX && c->why_not == NULL) {
        c->why_not = "no rule is for this identity and resource";
    }
}
