#include "sidecar/session_fake.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "sidecar/session_fixture.h"

enum { HOLD_WORDS = 512 };

enum { PENDING_MAX = 4096 };

struct fake {
    struct protocol_link *link;
    /* Operations without an answer, a ring; of each its number and that of its intent. */
    size_t first, pending;
    uint64_t operations[PENDING_MAX], sequences[PENDING_MAX];
    bool waits_for_people, waits_for_plan;
    bool logging_in, opened, paused, held, ended, closed;
    bool in_callback, in_link;
};

/* protocol_link has no room for it. */
static struct fixture *fixture;

/* ---- the promises of protocol.h ----------------------------------------------------------- */

/* `after_close`: it may come when the session is over already. */
static void enter(struct fake *p, bool after_close)
{
    assert_false(p->in_link);
    assert_false(p->in_callback);
    assert_true(!p->closed || after_close);
    p->in_callback = true;
}

static enum protocol_step leave(struct fake *p, int callback, enum protocol_step step)
{
    p->in_callback = false;
    return (fixture->close_in & callback) != 0 ? PROTOCOL_CLOSE : step;
}

static void to_agent(struct fake *p, struct bytes b)
{
    p->in_link = true;
    p->link->ops->to_agent(p->link, b);
    p->in_link = false;
}

static void to_target(struct fake *p, struct bytes b)
{
    p->in_link = true;
    p->link->ops->to_target(p->link, b);
    p->in_link = false;
}

/* ---- operations --------------------------------------------------------------------------- */

static void write_outcome(struct fake *p, Chaperone__V1__Status status)
{
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    m.operation = p->operations[p->first];
    m.intent_sequence = p->sequences[p->first];
    m.status = status;
    p->first = (p->first + 1) % PENDING_MAX;
    p->pending--;
    p->in_link = true;
    (void)p->link->ops->outcome(p->link, &m);
    p->in_link = false;
}

static bool has_word(struct bytes line, const char *word)
{
    return memmem(line.data, line.size, word, strlen(word)) != NULL;
}

static void ask(struct fake *p)
{
    Chaperone__V1__Prediction m = CHAPERONE__V1__PREDICTION__INIT;
    m.estimated_rows = 3;
    p->waits_for_plan = false;
    p->in_link = true;
    p->link->ops->ask(p->link, &m, NULL, 0);
    p->in_link = false;
}

struct binding {
    struct protocol_binding base; /* first */
    struct bytes line;
};

static bool make_binding(struct protocol_binding *binding)
{
    const struct binding *b = (const struct binding *)binding;
    size_t max = sizeof(binding->digest) - 1;
    memset(binding->digest, 0, sizeof(binding->digest));
    memcpy(binding->digest, b->line.data, b->line.size < max ? b->line.size : max);
    binding->digest[max] = has_word(b->line, "shift") ? fixture->hold.shift : 0;
    binding->shape = "shape";
    binding->may_hold_locks = has_word(b->line, "locks");
    return true;
}

static void hear_of_hold(struct fake *p, struct bytes line, const struct protocol_hold *hold)
{
    p->waits_for_people = true;
    if (!hold->is_new) {
        return;
    }
    if (hold->tells) {
        to_agent(p, bytes_of_string("held\n"));
    }
    p->waits_for_plan = has_word(line, "plan");
    if (!p->waits_for_plan) {
        ask(p);
    }
}

static void hear_of_refusal(struct fake *p, const struct protocol_verdict *verdict)
{
    char text[HOLD_WORDS];
    if (verdict->approval == NULL) {
        to_agent(p, bytes_of_string("refused\n"));
        return;
    }
    Chaperone__V1__Outcome m = CHAPERONE__V1__OUTCOME__INIT;
    m.operation = verdict->operation;
    m.intent_sequence = verdict->intent_sequence;
    m.status = CHAPERONE__V1__STATUS__REFUSED;
    m.approval = (char *)verdict->approval;
    (void)snprintf(text, sizeof(text), "refused: %s%s\n",
                   verdict->is_withdrawn ? "cancelled, " : "", verdict->message);
    p->in_link = true;
    (void)p->link->ops->outcome(p->link, &m);
    p->in_link = false;
    to_agent(p, bytes_of_string(text));
}

/* "do LEVEL TEXT\n". False: it waits for people. */
static bool do_operation(struct fake *p, struct bytes line)
{
    struct binding binding = {.base.make = make_binding, .line = line};
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    struct protocol_verdict verdict;
    char level[16] = "";
    char *commands[] = {level};
    for (size_t i = 0; i < sizeof(level) - 1 && 3 + i < line.size && line.data[3 + i] > ' '; i++) {
        level[i] = (char)line.data[3 + i];
    }
    m.verb = (char *)"do";
    m.text.data = (uint8_t *)line.data;
    m.text.len = line.size - 1;
    m.commands = commands;
    m.n_commands = 1;
    bool can_wait = strcmp(level, "hold") == 0 && !has_word(line, "big");
    p->in_link = true;
    p->link->is_provisional = has_word(line, "provisional");
    bool allowed = p->link->ops->decide(p->link, &m, can_wait ? &binding.base : NULL, &verdict);
    p->link->is_provisional = false;
    p->in_link = false;
    assert_int_equal(allowed, verdict.allowed);
    if (verdict.hold != NULL) {
        assert_false(allowed);
        hear_of_hold(p, line, verdict.hold);
        return false;
    }
    p->waits_for_people = false;
    p->waits_for_plan = false;
    if (allowed) {
        assert_true(p->pending < PENDING_MAX);
        size_t at = (p->first + p->pending++) % PENDING_MAX;
        p->operations[at] = verdict.operation;
        p->sequences[at] = verdict.intent_sequence;
        to_target(p, line);
    } else {
        hear_of_refusal(p, &verdict);
    }
    return true;
}

static void prepare(struct fake *p, struct bytes line)
{
    Chaperone__V1__Intent m = CHAPERONE__V1__INTENT__INIT;
    struct protocol_verdict verdict;
    char *commands[] = {(char *)"process"};
    m.verb = (char *)"prepare";
    m.text.data = (uint8_t *)line.data;
    m.text.len = line.size - 1;
    m.commands = commands;
    m.n_commands = 1;
    p->in_link = true;
    assert_true(p->link->ops->prepare(p->link, &m, &verdict));
    p->in_link = false;
    to_target(p, line);
}

static void identify(struct fake *p, struct bytes token)
{
    const struct protocol_request request = {
        .token = token, .database = "db", .user = "user", .application_name = "test"};
    p->logging_in = true;
    p->in_link = true;
    p->link->ops->identify(p->link, &request);
    p->in_link = false;
}

static void use_key(struct fake *p, const char *line, size_t size)
{
    struct bytes key = bytes_of(line + 4, size - 5);
    p->in_link = true;
    bool done = line[0] == 'k' ? p->link->ops->publish_key(p->link, key)
                               : p->link->ops->signal_key(p->link, bytes_of(line + 7, size - 8));
    p->in_link = false;
    to_agent(p, bytes_of_string(done ? "done\n" : "not done\n"));
}

/* ---- bytes -------------------------------------------------------------------------------- */

static bool starts_with(struct bytes line, const char *text)
{
    return line.size >= strlen(text) && memcmp(line.data, text, strlen(text)) == 0;
}

/* True: it was used. */
static bool agent_line(struct fake *p, struct bytes line, enum protocol_step *step)
{
    if (p->logging_in || p->paused || p->ended) {
        *step = PROTOCOL_WAIT;
        return false;
    }
    if (starts_with(line, "login ")) {
        identify(p, bytes_of(line.data + 6, line.size - 7));
    } else if (starts_with(line, "login\n")) {
        identify(p, (struct bytes){0});
    } else if (starts_with(line, "do ")) {
        if (!do_operation(p, line)) {
            *step = PROTOCOL_WAIT;
            return false;
        }
    } else if (starts_with(line, "settle\n")) {
        p->in_link = true;
        p->link->ops->settle(p->link);
        p->in_link = false;
        to_target(p, line);
    } else if (starts_with(line, "prepare\n")) {
        prepare(p, line);
    } else if (starts_with(line, "pause\n")) {
        p->paused = true;
    } else if (starts_with(line, "second\n")) {
        p->in_link = true;
        (void)p->link->ops->connect_second(p->link);
        p->in_link = false;
    } else if (starts_with(line, "again\n")) {
        p->in_link = true;
        p->link->ops->connect_target(p->link);
        p->in_link = false;
    } else if (starts_with(line, "key ") || starts_with(line, "signal ")) {
        use_key(p, (const char *)line.data, line.size);
    } else if (starts_with(line, "close\n")) {
        *step = PROTOCOL_CLOSE;
    } else {
        p->held = p->held && !starts_with(line, "free\n");
        to_target(p, line);
    }
    return true;
}

static bool target_line(struct fake *p, struct bytes line, enum protocol_step *step)
{
    if (p->held) {
        *step = PROTOCOL_WAIT;
        return false;
    }
    if (starts_with(line, "ok\n") && p->pending > 0) {
        write_outcome(p, CHAPERONE__V1__STATUS__SUCCESS);
    } else if (starts_with(line, "planned\n") && p->waits_for_plan) {
        ask(p);
        return true;
    } else if (starts_with(line, "close\n")) {
        *step = PROTOCOL_CLOSE;
    }
    p->paused = p->paused && !starts_with(line, "resume\n");
    p->held = starts_with(line, "hold\n");
    to_agent(p, line);
    return true;
}

typedef bool line_fn(struct fake *p, struct bytes line, enum protocol_step *step);

static enum protocol_step lines(struct fake *p, struct bytes in, size_t *out_used, line_fn *fn)
{
    enum protocol_step step = PROTOCOL_MORE;
    while (step == PROTOCOL_MORE && *out_used < in.size) {
        const uint8_t *at = in.data + *out_used;
        const uint8_t *end = memchr(at, '\n', in.size - *out_used);
        if (end == NULL) {
            break;
        }
        struct bytes line = bytes_of(at, (size_t)(end + 1 - at));
        *out_used += fn(p, line, &step) ? line.size : 0;
    }
    return step;
}

static enum protocol_step on_agent_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct fake *p = context;
    enter(p, false);
    return leave(p, CALL_AGENT_BYTES, lines(p, in, out_used, agent_line));
}

static enum protocol_step on_target_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct fake *p = context;
    enter(p, false);
    return leave(p, CALL_TARGET_BYTES, lines(p, in, out_used, target_line));
}

static enum protocol_step on_second_bytes(void *context, struct bytes in, size_t *out_used)
{
    struct fake *p = context;
    enter(p, true);
    *out_used = in.size;
    return leave(p, 0, PROTOCOL_MORE);
}

/* ---- events ------------------------------------------------------------------------------- */

static enum protocol_step on_granted(void *context, const Chaperone__V1__OpenSessionResponse *grant)
{
    struct fake *p = context;
    enter(p, false);
    assert_string_equal(grant->credential->user, "app");
    p->in_link = true;
    p->link->ops->connect_target(p->link);
    p->in_link = false;
    return leave(p, CALL_GRANTED, PROTOCOL_MORE);
}

static enum protocol_step on_refused(void *context, enum err code, const char *why)
{
    struct fake *p = context;
    enter(p, false);
    fixture->refused_code = code;
    (void)snprintf(fixture->refused_why, sizeof(fixture->refused_why), "%s", why);
    to_agent(p, bytes_of_string("not granted\n"));
    return leave(p, CALL_REFUSED, PROTOCOL_CLOSE);
}

static enum protocol_step on_connected(void *context, enum protocol_side side)
{
    struct fake *p = context;
    enter(p, side == SIDE_SECOND);
    p->in_link = true;
    if (side == SIDE_SECOND) {
        p->link->ops->to_second(p->link, bytes_of_string("cancel\n"));
    } else {
        p->logging_in = false;
        p->opened = true;
        p->link->ops->opened(p->link);
        p->link->ops->to_agent(p->link, bytes_of_string("ready\n"));
    }
    p->in_link = false;
    return leave(p, side == SIDE_SECOND ? 0 : CALL_CONNECTED, PROTOCOL_MORE);
}

static enum protocol_step on_secured(void *context, enum protocol_side side)
{
    (void)context;
    (void)side;
    fail();
    return PROTOCOL_CLOSE;
}

static enum protocol_step on_failed(void *context, enum protocol_side side, enum err code,
                                    const char *why)
{
    struct fake *p = context;
    enter(p, false);
    fixture->failed++;
    fixture->failed_side = side;
    fixture->failed_code = code;
    assert_string_not_equal(why, "");
    to_agent(p, bytes_of_string("failed\n"));
    return leave(p, CALL_FAILED, PROTOCOL_CLOSE);
}

static enum protocol_step on_end(void *context, enum protocol_side side)
{
    struct fake *p = context;
    enter(p, false);
    p->ended = p->ended || side == SIDE_AGENT;
    bool answers_come = side == SIDE_AGENT && p->pending > 0;
    return leave(p, CALL_END, answers_come ? PROTOCOL_MORE : PROTOCOL_CLOSE);
}

/* The only one that comes from inside a link function: another session's. */
static void on_signal(void *context)
{
    struct fake *p = context;
    assert_false(p->closed);
    p->in_link = true;
    if (!p->waits_for_people || !p->link->ops->withdraw(p->link, "the agent cancelled it", false)) {
        p->link->ops->to_agent(p->link, bytes_of_string("signalled\n"));
    }
    p->in_link = false;
}

static void on_terminate(void *context, enum err code, const char *why, bool stop_running)
{
    struct fake *p = context;
    char text[256];
    enter(p, false);
    fixture->terminated++;
    fixture->terminate_code = code;
    (void)snprintf(text, sizeof(text), "terminated: %.200s\n", why);
    if (stop_running && p->pending > 0) {
        p->in_link = true;
        (void)p->link->ops->connect_second(p->link);
        p->in_link = false;
    }
    to_agent(p, bytes_of_string(text));
    (void)leave(p, 0, PROTOCOL_MORE);
}

static bool is_idle(const void *context)
{
    const struct fake *p = context;
    return p->opened && p->pending == 0;
}

static void on_close(void *context)
{
    struct fake *p = context;
    /* It may be called from inside on_agent_bytes' own session_close, never from a link function.
     */
    assert_false(p->in_link);
    assert_false(p->closed);
    while (p->pending > 0) {
        write_outcome(p, CHAPERONE__V1__STATUS__UNKNOWN);
    }
    p->closed = true;
}

static void *create(struct protocol_link *link, const struct protocol_shared *shared)
{
    (void)shared;
    struct fake *p = calloc(1, sizeof(*p));
    if (p != NULL) {
        p->link = link;
        fixture->created++;
        fixture->protocol = p;
    }
    return p;
}

static void destroy(void *context)
{
    fixture->destroyed++;
    free(context);
}

static void unix_path(const char *dir, uint16_t port, char *out, size_t size)
{
    (void)snprintf(out, size, "%s/%u", dir, port);
}

static const struct protocol fake = {
    .name = "fake",
    .unix_path = unix_path,
    .create = create,
    .destroy = destroy,
    .buffer_max = 4096,
    .on_agent_bytes = on_agent_bytes,
    .on_target_bytes = on_target_bytes,
    .on_second_bytes = on_second_bytes,
    .on_granted = on_granted,
    .on_refused = on_refused,
    .on_connected = on_connected,
    .on_secured = on_secured,
    .on_failed = on_failed,
    .on_end = on_end,
    .on_signal = on_signal,
    .on_terminate = on_terminate,
    .is_idle = is_idle,
    .on_close = on_close,
};

const struct protocol *fake_protocol(struct fixture *f)
{
    fixture = f;
    return &fake;
}
