/* From a policy's push to the acknowledgement of the last sidecar of a fleet.
 *
 *   fleet_bench HOST:PORT CA-FILE TOKEN-FILE SIDECARS ROUNDS
 *
 * Prints one line of JSON for each round, in milliseconds since the push was sent: when it was
 * answered, when the last acknowledgement was sent, and when `policy status` showed all of them. */
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

#include "api/operator.pb-c.h"
#include "api/policy.pb-c.h"
#include "e2e/bench/fleet/fleet.h"

enum { FILE_MAX = 1 << 20, RULES = 50, POLICY_MAX = 64 << 10, COUNT_MAX = 20000, STATUS_S = 120 };

static const int64_t second_ns = 1000000000;
static const double ms_ns = 1e6;

static struct buffer read_file(const char *path)
{
    struct buffer b;
    buffer_init(&b, FILE_MAX);
    FILE *in = fopen(path, "rb");
    uint8_t *at = buffer_reserve(&b, FILE_MAX);
    if (in == NULL || at == NULL) {
        fleet_fail("%s cannot be read", path);
    }
    buffer_commit(&b, fread(at, 1, FILE_MAX, in));
    (void)fclose(in);
    return b;
}

static size_t read_count(const char *text)
{
    char *end = NULL;
    unsigned long value = strtoul(text, &end, 10);
    if (value == 0 || *end != '\0' || value > COUNT_MAX) {
        fleet_fail("expected a number from 1 to %d, found %s", COUNT_MAX, text);
    }
    return value;
}

/* As long as one that people write; another one each time. */
static struct buffer make_policy(size_t round)
{
    struct buffer b;
    buffer_init(&b, POLICY_MAX);
    enum err e = buffer_append_string(&b, "version: 1\nrules:\n");
    for (int i = 0; e == OK && i < RULES; i++) {
        e = buffer_append_format(&b,
                                 "  - name: round-%zu-rule-%d\n"
                                 "    effect: allow\n"
                                 "    match:\n"
                                 "      identities: {groups: [group-%d]}\n"
                                 "      resources: [shop]\n"
                                 "      sql: {commands: [read], tables: [public.table_%d]}\n",
                                 round, i, i, i);
    }
    if (e != OK) {
        fleet_fail("the policy is too long");
    }
    return b;
}

static uint64_t push(struct fleet *f, size_t round, int64_t *out_sent_ns)
{
    Chaperone__V1__PushPolicyRequest request = CHAPERONE__V1__PUSH_POLICY_REQUEST__INIT;
    struct buffer policy = make_policy(round);
    request.source.data = policy.data + policy.start;
    request.source.len = buffer_size(&policy);
    request.name = (char *)(uintptr_t) "fleet.yaml";
    *out_sent_ns = fleet_now_ns();
    ProtobufCMessage *reply =
        fleet_call(f, &chaperone__v1__policies__descriptor, "Push", &request.base);
    uint64_t revision = ((const Chaperone__V1__PushPolicyResponse *)reply)->revision;
    protobuf_c_message_free_unpacked(reply, NULL);
    buffer_finish(&policy);
    return revision;
}

static size_t count_active(struct fleet *f, uint64_t revision)
{
    Chaperone__V1__StatusRequest request = CHAPERONE__V1__STATUS_REQUEST__INIT;
    ProtobufCMessage *reply =
        fleet_call(f, &chaperone__v1__administration__descriptor, "Status", &request.base);
    const Chaperone__V1__StatusResponse *status = (const Chaperone__V1__StatusResponse *)reply;
    size_t active = 0;
    for (size_t i = 0; i < status->n_sidecars; i++) {
        active += status->sidecars[i]->policy_revision == revision &&
                          strcmp(status->sidecars[i]->policy_state, "active") == 0
                      ? 1
                      : 0;
    }
    protobuf_c_message_free_unpacked(reply, NULL);
    return active;
}

/* When the control plane says of all that they use it; its answer counts when it was asked for. */
static int64_t await_status(struct fleet *f, size_t count, uint64_t revision, int64_t since_ns)
{
    for (;;) {
        int64_t asked = fleet_now_ns();
        size_t active = count_active(f, revision);
        if (active == count) {
            return fleet_now_ns() - since_ns;
        }
        if (asked - since_ns > STATUS_S * second_ns) {
            fleet_fail("policy status shows %zu of %zu", active, count);
        }
    }
}

static void run_round(struct fleet *f, size_t count, size_t round)
{
    int64_t sent = 0;
    uint64_t revision = push(f, round, &sent);
    int64_t answered = fleet_now_ns() - sent;
    int64_t acknowledged = fleet_await(f, revision, sent);
    int64_t shown = await_status(f, count, revision, sent);
    printf("{\"revision\": %" PRIu64 ", \"answered_ms\": %.1f, \"acknowledged_ms\": %.1f, "
           "\"shown_ms\": %.1f}\n",
           revision, (double)answered / ms_ns, (double)acknowledged / ms_ns, (double)shown / ms_ns);
    (void)fflush(stdout);
}

int main(int argc, char **argv)
{
    if (argc != 6) {
        fleet_fail("usage: fleet_bench HOST:PORT CA-FILE TOKEN-FILE SIDECARS ROUNDS");
    }
    struct buffer ca = read_file(argv[2]), token = read_file(argv[3]);
    char *admin_token = bytes_to_string(buffer_bytes(&token));
    admin_token[strcspn(admin_token, "\r\n")] = '\0';
    size_t count = read_count(argv[4]), rounds = read_count(argv[5]);
    const struct fleet_options options = {
        .server = argv[1], .ca_pem = buffer_bytes(&ca), .admin_token = admin_token, .count = count};
    int64_t began = fleet_now_ns();
    struct fleet *f = fleet_create(&options);
    (void)fleet_await(f, 1, began);
    (void)fprintf(stderr, "%zu sidecars are enrolled and connected after %.1f s\n", count,
                  (double)(fleet_now_ns() - began) / (double)second_ns);
    for (size_t i = 0; i < rounds; i++) {
        run_round(f, count, i);
    }
    fleet_destroy(f);
    free(admin_token);
    buffer_finish(&ca);
    buffer_finish(&token);
    return EXIT_SUCCESS;
}
