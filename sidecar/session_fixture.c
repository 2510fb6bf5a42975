#include "sidecar/session_fixture.h"

#include <arpa/inet.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#include <cmocka.h>

#include "policies/policy.h"
#include "sidecar/control/control.h"
#include "sidecar/holders.h"
#include "sidecar/session_fake.h"

/* ---- a policy: the operation's own command is its verdict
 * ------------------------------------------------- */

struct policy {
    char unused;
};

static const struct policy only_policy;
static struct fixture *only_fixture;

const char *policy_hash(const struct policy *policy)
{
    (void)policy;
    return only_fixture->hold.hash;
}

uint64_t policy_revision(const struct policy *policy)
{
    (void)policy;
    return 1;
}

void policy_evaluate(const struct policy *policy, const struct policy_request *request,
                     struct policy_verdict *out)
{
    (void)policy;
    only_fixture->evaluated++;
    const char *level = request->command_count == 0 ? "" : request->commands[0];
    if (strcmp(level, "hold") == 0) {
        const struct fixture_hold *h = &only_fixture->hold;
        *out = (struct policy_verdict){.effect = h->effect,
                                       .rule = h->rule,
                                       .message = "it is held",
                                       .hold = h->effect == POLICY_HOLD ? &h->terms : NULL};
        return;
    }
    *out = (struct policy_verdict){
        .effect = strcmp(level, "deny") == 0 ? POLICY_DENY : POLICY_ALLOW,
        .rule = "test",
        .message = strcmp(level, "deny") == 0 ? "not this one" : NULL,
        .durability = strcmp(level, "host") == 0 || strcmp(level, "default") == 0 ? POLICY_HOST
                      : strcmp(level, "fleet") == 0                               ? POLICY_FLEET
                                                                                  : POLICY_PROCESS,
        .is_default_durability = strcmp(level, "default") == 0,
    };
}

/* ---- a control plane ---------------------------------------------------------------------- */

struct control {
    struct fixture *fixture;
};

/* One call at a time, in no memory of the heap: it must not fail with what it tests. */
struct control_call {
    struct control *control;
    control_open_fn *on_reply;
    control_approval_fn *on_approval;
    void *context;
    struct loop_deferred later;
};

static struct control only_control;
static struct control_call only_call, only_approval_call;

static void reply(void *context)
{
    struct control_call *call = context;
    const struct fixture *f = call->control->fixture;
    struct rpc_status status = {.code = f->control.code};
    Chaperone__V1__OpenSessionResponse grant = CHAPERONE__V1__OPEN_SESSION_RESPONSE__INIT;
    Chaperone__V1__Target target = CHAPERONE__V1__TARGET__INIT;
    Chaperone__V1__Credential credential = CHAPERONE__V1__CREDENTIAL__INIT;
    Chaperone__V1__Identity identity = CHAPERONE__V1__IDENTITY__INIT;
    identity.subject = (char *)"agent-7";
    target.host = (char *)(f->control.host != NULL ? f->control.host : "127.0.0.1");
    target.port = f->port;
    target.tls = CHAPERONE__V1__TLS_MODE__TLS_DISABLE;
    credential.user = (char *)"app";
    grant.identity = &identity;
    grant.target = &target;
    grant.credential = f->control.incomplete ? NULL : &credential;
    grant.grant = (char *)"grant-1";
    (void)snprintf(status.message, sizeof(status.message), "%s",
                   status.code == RPC_OK ? "" : "not you");
    call->on_reply(call->context, &status, status.code == RPC_OK ? &grant : NULL);
}

enum err control_open_session(struct control *control,
                              const Chaperone__V1__OpenSessionRequest *request,
                              control_open_fn *on_reply, void *context, struct control_call **out)
{
    struct fixture *f = control->fixture;
    f->control.asked++;
    (void)snprintf(f->control.token, sizeof(f->control.token), "%.*s", (int)request->token.len,
                   request->token.len == 0 ? "" : (const char *)request->token.data);
    if (f->control.start != OK) {
        return f->control.start;
    }
    only_call = (struct control_call){.control = control,
                                      .on_reply = on_reply,
                                      .context = context,
                                      .later = {.fn = reply, .context = &only_call}};
    if (!f->control.silent) {
        loop_defer(f->loop, &only_call.later);
    }
    *out = &only_call;
    return OK;
}

void control_call_cancel(struct control_call *call)
{
    if (call != NULL) {
        call->control->fixture->control.cancelled++;
        loop_cancel_deferred(call->control->fixture->loop, &call->later);
    }
}

static void fill_decision(const struct fixture_hold *h, Chaperone__V1__ApprovalState state,
                          Chaperone__V1__ApprovalDecided *out)
{
    static const uint8_t another[32] = {1, 2, 3};
    const uint8_t *digest = h->has_another_digest || h->is_standing ? another : h->digest;
    chaperone__v1__approval_decided__init(out);
    out->id = (char *)(h->answer_id == NULL ? h->id : h->answer_id);
    out->state = state;
    out->digest = (ProtobufCBinaryData){sizeof(another), (uint8_t *)(uintptr_t)digest};
    out->standing = (char *)(h->is_standing ? "standing-1" : "");
}

static void reply_approval(void *context)
{
    struct control_call *call = context;
    const struct fixture_hold *h = &call->control->fixture->hold;
    struct rpc_status status = {.code = h->code};
    Chaperone__V1__ApprovalDecided decided;
    fill_decision(h, h->answer, &decided);
    (void)snprintf(status.message, sizeof(status.message), "%s",
                   status.code == RPC_OK ? "" : "nobody there");
    call->on_approval(call->context, &status, status.code == RPC_OK ? &decided : NULL);
}

enum err control_request_approval(struct control *control,
                                  const Chaperone__V1__RequestApprovalRequest *request,
                                  control_approval_fn *on_reply, void *context,
                                  struct control_call **out)
{
    struct fixture_hold *h = &control->fixture->hold;
    h->asked++;
    if (h->start != OK) {
        return h->start;
    }
    (void)snprintf(h->id, sizeof(h->id), "%s", request->held->id);
    (void)snprintf(h->shape, sizeof(h->shape), "%s", request->held->shape);
    assert_int_equal(request->held->digest.len, sizeof(h->digest));
    memcpy(h->digest, request->held->digest.data, sizeof(h->digest));
    h->lifetime_ms = request->lifetime_ms;
    h->rows = request->held->prediction->estimated_rows;
    only_approval_call =
        (struct control_call){.control = control,
                              .on_approval = on_reply,
                              .context = context,
                              .later = {.fn = reply_approval, .context = &only_approval_call}};
    if (!h->silent) {
        loop_defer(control->fixture->loop, &only_approval_call.later);
    }
    *out = &only_approval_call;
    return OK;
}

void control_end_approval(struct control *control, const char *approval,
                          Chaperone__V1__ApprovalState state, const char *reason)
{
    struct fixture_hold *h = &control->fixture->hold;
    size_t size = strlen(h->ends);
    assert_string_not_equal(approval, "");
    (void)snprintf(h->ends + size, sizeof(h->ends) - size, "%s%s%s%s%s", size == 0 ? "" : "; ",
                   state == CHAPERONE__V1__APPROVAL_STATE__USED      ? "used"
                   : state == CHAPERONE__V1__APPROVAL_STATE__EXPIRED ? "expired"
                                                                     : "withdrawn",
                   reason[0] == '\0' ? "" : " (", reason, reason[0] == '\0' ? "" : ")");
}

static void keep_session(void *context, struct session *session)
{
    *(struct session **)context = session;
}

struct session *fixture_session(struct fixture *f)
{
    struct session *found = NULL;
    assert_int_equal(fixture_sessions(f), 1);
    directory_each(f->shared->directory, keep_session, &found);
    assert_non_null(found);
    return found;
}

void *fixture_protocol(struct fixture *f)
{
    return f->protocol;
}

void fixture_push_decision(struct fixture *f, Chaperone__V1__ApprovalState state)
{
    Chaperone__V1__ApprovalDecided decided;
    fill_decision(&f->hold, state, &decided);
    session_take_decision(fixture_session(f), &decided);
}

/* ---- a disk ------------------------------------------------------------------------------- */

static int sync_file(void *context, int fd)
{
    struct fixture *f = context;
    (void)pthread_mutex_lock(&f->disk);
    while (f->disk_blocked) {
        (void)pthread_cond_wait(&f->disk_wake, &f->disk);
    }
    int failed = f->disk_fails;
    (void)pthread_mutex_unlock(&f->disk);
    return failed != 0 ? failed : spool_system_real().sync(NULL, fd);
}

static int allocate_file(void *context, int fd, off_t size)
{
    (void)context;
    return spool_system_real().allocate(NULL, fd, size);
}

void fixture_block_disk(struct fixture *f, bool blocked)
{
    (void)pthread_mutex_lock(&f->disk);
    f->disk_blocked = blocked;
    (void)pthread_cond_broadcast(&f->disk_wake);
    (void)pthread_mutex_unlock(&f->disk);
}

void fixture_fail_disk(struct fixture *f, int error)
{
    (void)pthread_mutex_lock(&f->disk);
    f->disk_fails = error;
    (void)pthread_mutex_unlock(&f->disk);
}

/* ---- the ends ----------------------------------------------------------------------------- */

int64_t fixture_now(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void fixture_fail_at(const char *file, int line, const char *what)
{
    print_error("waited in vain for: %s\n", what);
    _fail(file, line);
}

static void use_end(struct fixture_end *end, int fd)
{
    assert_true(fd >= 0);
    end->fd = fd;
    end->size = 0;
    end->got[0] = '\0'; /* of the one before */
    end->closed = false;
}

static void hear(struct fixture_end *end)
{
    while (end->fd >= 0 && !end->deaf && !end->closed && end->size < FIXTURE_GOT_MAX - 1) {
        ssize_t n = recv(end->fd, end->got + end->size, FIXTURE_GOT_MAX - 1 - end->size, 0);
        if (n < 0 && (errno == EAGAIN || errno == EINTR)) {
            break;
        }
        end->closed = n <= 0;
        end->size += n > 0 ? (size_t)n : 0;
    }
    end->got[end->size] = '\0';
}

static void take_connections(struct fixture *f)
{
    int fd = accept4(f->listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
    if (fd >= 0) {
        struct fixture_end *end = f->target.fd < 0 ? &f->target : &f->second;
        fixture_hang_up(end); /* the one before */
        use_end(end, fd);
    }
}

void fixture_step(struct fixture *f)
{
    (void)ev_run(loop_ev(f->loop), EVRUN_ONCE);
    take_connections(f);
    hear(&f->agent);
    hear(&f->target);
    hear(&f->second);
}

void fixture_settle(struct fixture *f)
{
    for (int i = 0; i < 40; i++) {
        fixture_step(f); /* each waits for an event, or two milliseconds */
    }
}

void fixture_say(struct fixture_end *end, const char *text)
{
    size_t size = strlen(text);
    assert_int_equal(send(end->fd, text, size, MSG_NOSIGNAL), size);
}

bool fixture_heard(const struct fixture_end *end, const char *text)
{
    return strstr(end->got, text) != NULL;
}

void fixture_hang_up(struct fixture_end *end)
{
    if (end->fd >= 0) {
        (void)close(end->fd);
        end->fd = -1;
    }
}

static void listen_for_target(struct fixture *f)
{
    struct sockaddr_in address = {.sin_family = AF_INET};
    socklen_t size = sizeof(address);
    address.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
    f->listening = socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
    assert_int_equal(bind(f->listening, (const struct sockaddr *)&address, size), 0);
    assert_int_equal(listen(f->listening, 4), 0);
    assert_int_equal(getsockname(f->listening, (struct sockaddr *)&address, &size), 0);
    f->port = ntohs(address.sin_port);
}

/* ---- sessions ----------------------------------------------------------------------------- */

enum err fixture_start(struct fixture *f)
{
    int ends[2];
    assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0, ends), 0);
    fixture_hang_up(&f->agent);
    use_end(&f->agent, ends[1]);
    return session_start(f->shared, &f->origin, ends[0]);
}

void fixture_log_in(struct fixture *f)
{
    assert_int_equal(fixture_start(f), OK);
    fixture_say(&f->agent, "login\n");
}

void fixture_open_session(struct fixture *f)
{
    fixture_hang_up(&f->target);
    fixture_log_in(f);
    UNTIL(f, fixture_heard(&f->agent, "ready\n"));
    UNTIL(f, f->target.fd >= 0);
}

void fixture_start_running(struct fixture *f)
{
    fixture_open_session(f);
    fixture_say(&f->agent, "do process 1\n");
    UNTIL(f, fixture_heard(&f->target, "do process 1\n"));
}

size_t fixture_sessions(const struct fixture *f)
{
    return directory_count(f->shared->directory);
}

/* ---- life --------------------------------------------------------------------------------- */

static int count_descriptors(void)
{
    int count = 0;
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    while (readdir(d) != NULL) {
        count++;
    }
    (void)closedir(d);
    return count;
}

static void on_wake(struct ev_loop *ev, struct ev_timer *w, int events)
{
    (void)ev;
    (void)w;
    (void)events;
}

static void on_empty(void *context)
{
    struct fixture *f = context;
    f->empties++;
}

static const char *const hold_groups[] = {"dba"};

static void open_recorder(struct fixture *f)
{
    struct err_text why = {0};
    (void)snprintf(f->dir, sizeof(f->dir), "/tmp/session-XXXXXX");
    assert_non_null(mkdtemp(f->dir));
    f->system = (struct spool_system){
        .allocate = allocate_file, .sync = sync_file, .map = spool_system_real().map, .context = f};
    f->recorder_options = (struct recorder_options){
        .dir = f->dir,
        .sidecar = "0193a3c2-0000-7000-8000-000000000001",
        .segment_size = FIXTURE_SEGMENT,
        .cap = (uint64_t)4 * FIXTURE_SEGMENT,
        .clock = &f->clock,
        .loop = f->loop,
        .system = &f->system,
    };
    if (recorder_open(&f->recorder_options, &f->recorder, &why) != OK) {
        fail_msg("%s", why.text);
    }
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->descriptors = count_descriptors();
    (void)pthread_mutex_init(&f->disk, NULL);
    (void)pthread_cond_init(&f->disk_wake, NULL);
    f->agent.fd = f->target.fd = f->second.fd = -1;
    f->clock = clock_system();
    f->log = (struct log){
        .fd = open("/dev/null", O_WRONLY | O_CLOEXEC), .level = LOG_DEBUG, .clock = f->clock};
    assert_int_equal(loop_create(&f->loop), OK);
    open_recorder(f);
    listen_for_target(f);
    only_control = (struct control){.fixture = f};
    only_fixture = f;
    f->hold = (struct fixture_hold){.hash = "hash",
                                    .rule = "careful",
                                    .effect = POLICY_HOLD,
                                    .terms = {.groups = hold_groups,
                                              .group_count = 1,
                                              .people = 1,
                                              .lifetime_s = 60,
                                              .in_transaction_s = 1},
                                    .answer = CHAPERONE__V1__APPROVAL_STATE__WAITING};
    f->shared = calloc(1, sizeof(*f->shared));
    assert_non_null(f->shared);
    f->shared->loop = f->loop;
    f->shared->log = &f->log;
    f->shared->clock = &f->clock;
    f->shared->control = &only_control;
    f->shared->recorder = f->recorder;
    f->shared->policy = &only_policy;
    f->shared->directory = directory_create();
    f->shared->holders = holders_create();
    f->shared->metrics = &f->metrics;
    f->shared->scratch = arena_create(4096, 1 << 20);
    f->shared->on_empty = on_empty;
    f->shared->context = f;
    f->shared->times = (struct session_times){.answer = 100, .second = 200, .durable = 30000};
    assert_int_equal(setenv("SESSION_TEST_TOKEN", "a token", 1), 0);
    const struct token_source_options tokens = {.environment = "SESSION_TEST_TOKEN"};
    assert_int_equal(token_source_create(&tokens, &f->shared->tokens), OK);
    f->origin = (struct session_origin){.protocol = fake_protocol(f), .resource = "shop"};
    ev_timer_init(&f->wake, on_wake, 0.002, 0.002);
    ev_timer_start(loop_ev(f->loop), &f->wake);
    *state = f;
    return 0;
}

static void remove_directory(const char *path)
{
    DIR *d = opendir(path);
    assert_non_null(d);
    for (const struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        (void)unlinkat(dirfd(d), e->d_name, 0);
    }
    (void)closedir(d);
    (void)rmdir(path);
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    fixture_block_disk(f, false);
    fixture_hang_up(&f->agent);
    fixture_hang_up(&f->target);
    fixture_hang_up(&f->second);
    UNTIL(f, directory_count(f->shared->directory) == 0);
    fixture_settle(f);
    fixture_hang_up(&f->target); /* accepted meanwhile */
    fixture_hang_up(&f->second);
    assert_int_equal(f->created, f->destroyed);
    assert_int_equal(f->metrics.sessions_active, 0);
    recorder_close(f->recorder);
    ev_timer_stop(loop_ev(f->loop), &f->wake);
    token_source_release(f->shared->tokens);
    target_tls_forget(&f->shared->target_tls);
    directory_destroy(f->shared->directory);
    holders_destroy(f->shared->holders);
    arena_destroy(f->shared->scratch);
    loop_destroy(f->loop);
    free(f->shared);
    (void)close(f->listening);
    (void)close(f->log.fd);
    remove_directory(f->dir);
    (void)pthread_mutex_destroy(&f->disk);
    (void)pthread_cond_destroy(&f->disk_wake);
    assert_int_equal(count_descriptors(), f->descriptors);
    free(f);
    return 0;
}
