/* What a decision costs: prints nanoseconds for each call of policy_evaluate, of 50 rules. The
 * median is what to compare; the maximum is mostly what else the machine did. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "base/clock.h"
#include "policies/policy.h"

enum { RULES = 50, SAMPLES = 301, CALLS = 500 };

enum audience { ONE_GROUP_EACH, EVERYBODY };

static const struct policy_object point[] = {
    {.kind = "table", .name = "public.orders", .access = "read"}};
static const struct policy_object change[] = {
    {.kind = "table", .name = "public.t48", .access = "delete"},
    {.kind = "table", .name = "public.t48", .access = "read"}};
static const struct policy_object join[] = {
    {.kind = "table", .name = "customers", .access = "read"},
    {.kind = "table", .name = "public.orders", .access = "read"},
    {.kind = "table", .name = "public.items", .access = "read"},
    {.kind = "table", .name = "public.products", .access = "read"},
    {.kind = "table", .name = "public.categories", .access = "read"},
    {.kind = "table", .name = "public.shipments", .access = "read"},
    {.kind = "table", .name = "public.carriers", .access = "read"},
    {.kind = "table", .name = "public.addresses", .access = "read"},
    {.kind = "table", .name = "public.countries", .access = "read"},
    {.kind = "function", .name = "sum", .access = "call"}};

struct question {
    const char *name, *command, *access;
    const struct policy_object *objects;
    size_t object_count;
    enum policy_effect expected;
};

static const struct question questions[] = {
    {"one table", "SELECT", "read", point, 1, POLICY_ALLOW},
    {"ten objects", "SELECT", "read", join, sizeof(join) / sizeof(join[0]), POLICY_ALLOW},
    {"a held DELETE", "DELETE", "delete", change, 2, POLICY_HOLD},
    {"a refused DROP", "DROP TABLE", "drop", NULL, 0, POLICY_DENY},
};

static void give_up(const char *why)
{
    (void)fprintf(stderr, "%s\n", why);
    exit(1);
}

/* Of ten rules seven allow, two deny and one holds. */
static enum err append_rule(struct buffer *b, size_t i, enum audience audience)
{
    char group[32];
    (void)snprintf(group, sizeof(group), audience == EVERYBODY ? "'*'" : "g%zu", i);
    enum err e = buffer_append_format(
        b, "- {name: r%zu, match: {identities: {groups: [%s]}, resources: [shop*], sql: ", i,
        group);
    if (e != OK) {
        return e;
    }
    switch (i % 10) {
    case 4:
    case 9:
        return buffer_append_format(
            b, "{commands: [read, write], tables: [secret.*, hr.x%zu]}}, effect: deny}\n", i);
    case 8:
        return buffer_append_format(b,
                                    "{commands: [DELETE], tables: [public.t%zu]}}, effect: hold, "
                                    "hold: {approvers: {groups: [dba]}}}\n",
                                    i);
    default:
        return buffer_append_format(
            b, "{commands: [read, transaction], tables: [public.*, '*.t%zu']}}, effect: allow}\n",
            i);
    }
}

static struct policy *make(enum audience audience)
{
    struct buffer b;
    struct policy *p = NULL;
    struct err_text why = {0};
    buffer_init(&b, CONF_SIZE_MAX);
    enum err e = buffer_append_string(&b, "version: 1\nrules:\n");
    for (size_t i = 0; i < RULES && e == OK; i++) {
        e = append_rule(&b, i, audience);
    }
    if (e != OK || policy_compile(buffer_bytes(&b), 1, &p, &why) != OK) {
        give_up(why.text);
    }
    buffer_finish(&b);
    return p;
}

static int compare(const void *a, const void *b)
{
    const double *left = a, *right = b;
    return (*left > *right) - (*left < *right);
}

static void measure(const char *rules, const struct policy *p, const struct question *q)
{
    static const char *const groups[] = {"staff", "g0", "g4", "g48"};
    const struct policy_request r = {.subject = "repo:shop/api",
                                     .groups = groups,
                                     .group_count = sizeof(groups) / sizeof(groups[0]),
                                     .resource = "shop",
                                     .protocol = "postgres",
                                     .now_unix_s = 1790000000,
                                     .commands = &q->command,
                                     .command_count = 1,
                                     .accesses = &q->access,
                                     .access_count = 1,
                                     .objects = q->objects,
                                     .object_count = q->object_count};
    const struct clock c = clock_system();
    struct policy_verdict v = {0};
    double samples[SAMPLES];
    for (size_t i = 0; i < SAMPLES; i++) {
        int64_t start = clock_monotonic(&c);
        for (int n = 0; n < CALLS; n++) {
            policy_evaluate(p, &r, &v);
        }
        samples[i] = (double)(clock_monotonic(&c) - start) / CALLS;
    }
    if (v.effect != q->expected) {
        give_up("the verdict is not the expected one");
    }
    qsort(samples, SAMPLES, sizeof(samples[0]), compare);
    (void)printf("%-22s %-16s %8.0f %8.0f %8.0f\n", rules, q->name, samples[0],
                 samples[SAMPLES / 2], samples[SAMPLES - 1]);
}

int main(void)
{
    (void)printf("%d rules, ns per decision       %16s %8s %8s\n", RULES, "min", "median", "max");
    for (enum audience a = ONE_GROUP_EACH; a <= EVERYBODY; a++) {
        struct policy *p = make(a);
        for (size_t i = 0; i < sizeof(questions) / sizeof(questions[0]); i++) {
            measure(a == EVERYBODY ? "all for everybody" : "for a group each", p, &questions[i]);
        }
        policy_destroy(p);
    }
    return 0;
}
