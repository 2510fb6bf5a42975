#include "sidecar/control/control_fixture.h"

#include <dirent.h>
#include <errno.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <unistd.h>

#include "base/net/loop.h"

enum { WAIT_S = 60, TICK_MS = 5 };

static void on_enrolled(void *context, const char *sidecar)
{
    struct control_fixture *f = context;
    f->enrolled++;
    assert_string_equal(sidecar, f->fake.sidecar);
}

static void on_policy(void *context, const struct policy *policy)
{
    struct control_fixture *f = context;
    f->policies++;
    f->policy_revision = policy_revision(policy);
    (void)snprintf(f->policy_hash, sizeof(f->policy_hash), "%s", policy_hash(policy));
}

static void on_kill(void *context, const struct control_kill *k, struct control_sessions *ended)
{
    struct control_fixture *f = context;
    f->kills++;
    (void)snprintf(f->killed, sizeof(f->killed), "%s", k->session);
    (void)snprintf(f->killed_identity, sizeof(f->killed_identity), "%s", k->identity);
    (void)snprintf(f->killed_resource, sizeof(f->killed_resource), "%s", k->resource);
    (void)snprintf(f->killed_by, sizeof(f->killed_by), "%s", k->ordered_by);
    (void)snprintf(f->kill_reason, sizeof(f->kill_reason), "%s", k->reason);
    f->killed_all = k->all;
    f->killed_ordered_ns = k->ordered_unix_ns;
    if (f->kill_finds) {
        assert_int_equal(
            control_sessions_add(ended, k->session[0] == '\0' ? "session-9" : k->session), OK);
    }
}

static void on_list_held(void *context, struct control_held *list)
{
    struct control_fixture *f = context;
    if (f->held != NULL) {
        assert_int_equal(control_held_add(list, f->held), OK);
    }
}

static void on_decided(void *context, const Chaperone__V1__ApprovalDecided *decided)
{
    struct control_fixture *f = context;
    f->decisions++;
    (void)snprintf(f->decided, sizeof(f->decided), "%s", decided->id);
    f->decided_state = decided->state;
}

static void on_list_sessions(void *context, struct control_sessions *list)
{
    struct control_fixture *f = context;
    for (size_t i = 0; i < f->open_sessions; i++) {
        assert_int_equal(control_sessions_add(list, "0193a3c2-7a1b-7cc3-98c4-dc0c0c07398f"), OK);
    }
}

static void *map_file(void *context, int fd, size_t size, int protection)
{
    struct control_fixture *f = context;
    if (protection == PROT_READ && atomic_load(&f->map_fails)) {
        atomic_fetch_add(&f->maps_failed, 1);
        errno = ENOMEM;
        return MAP_FAILED;
    }
    return spool_system_real().map(NULL, fd, size, protection);
}

int control_fixture_setup(void **state)
{
    static const char *const resources[] = {"orders", "customers"};
    struct control_fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    (void)signal(SIGPIPE, SIG_IGN); /* as main does: TLS writes to sockets that may be closed */
    const char *tmp = getenv("TEST_TMPDIR");
    (void)snprintf(f->dir, sizeof(f->dir), "%s/control-XXXXXX", tmp == NULL ? "/tmp" : tmp);
    assert_non_null(mkdtemp(f->dir));
    (void)snprintf(f->state_dir, sizeof(f->state_dir), "%s/state", f->dir);
    (void)snprintf(f->spool_dir, sizeof(f->spool_dir), "%s/spool", f->dir);
    fake_start(&f->fake, "IP:127.0.0.1,DNS:localhost");
    (void)snprintf(f->server, sizeof(f->server), "127.0.0.1:%d", fake_door_port(f->fake.door));
    assert_int_equal(loop_create(&f->loop), OK);
    f->clock = clock_system();
    f->system = spool_system_real();
    f->system.map = map_file;
    f->system.context = f;
    f->options = (struct control_options){
        .loop = f->loop,
        .clock = &f->clock,
        .server = f->server,
        .ca_pem = buffer_bytes(&f->fake.ca.pem),
        .state_dir = f->state_dir,
        .join_token = "join-me",
        .name = "pod-7",
        .version = "1.2.3",
        .resources = resources,
        .resources_count = 2,
        .open_timeout_ms = 20000,
        .events = {.on_enrolled = on_enrolled,
                   .on_policy = on_policy,
                   .on_kill = on_kill,
                   .on_list_sessions = on_list_sessions,
                   .on_list_held = on_list_held,
                   .on_decided = on_decided},
        .context = f,
    };
    *state = f;
    return 0;
}

static void remove_tree(const char *path)
{
    DIR *d = opendir(path);
    if (d == NULL) {
        return;
    }
    for (struct dirent *e = readdir(d); e != NULL; e = readdir(d)) {
        char inner[512];
        if (strcmp(e->d_name, ".") == 0 || strcmp(e->d_name, "..") == 0) {
            continue;
        }
        (void)snprintf(inner, sizeof(inner), "%s/%s", path, e->d_name);
        if (e->d_type == DT_DIR) {
            remove_tree(inner);
        } else {
            (void)unlink(inner);
        }
    }
    (void)closedir(d);
    (void)rmdir(path);
}

void control_fixture_start(struct control_fixture *f)
{
    struct err_text why = {.text = ""};
    enum err result = control_start(&f->options, &f->control, &why);
    if (result != OK) {
        fail_msg("%s: %s", err_name(result), why.text);
    }
}

void control_fixture_stop(struct control_fixture *f)
{
    control_stop(f->control);
    f->control = NULL;
    recorder_close(f->recorder);
    f->recorder = NULL;
    (void)ev_run(loop_ev(f->loop), EVRUN_NOWAIT);
}

int control_fixture_teardown(void **state)
{
    struct control_fixture *f = *state;
    control_fixture_stop(f);
    fake_stop(&f->fake);
    loop_destroy(f->loop);
    remove_tree(f->dir);
    free(f);
    return 0;
}

void control_fixture_open_recorder(struct control_fixture *f)
{
    struct err_text why = {.text = ""};
    const struct recorder_options options = {.dir = f->spool_dir,
                                             .sidecar = control_sidecar_id(f->control),
                                             .segment_size = 256 << 10,
                                             .clock = &f->clock,
                                             .loop = f->loop,
                                             .key = control_key(f->control),
                                             .heartbeat_ms = 3600000, /* tests count records */
                                             .system = &f->system};
    enum err result = recorder_open(&options, &f->recorder, &why);
    if (result != OK) {
        fail_msg("%s", why.text);
    }
    assert_int_equal(control_attach_recorder(f->control, f->recorder), OK);
}

static void on_tick(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)ev;
    (void)timer;
    (void)events;
}

static bool check(struct control_fixture *f, control_fixture_is *is)
{
    (void)pthread_mutex_lock(&f->fake.lock);
    bool so = is(f);
    (void)pthread_mutex_unlock(&f->fake.lock);
    return so;
}

void control_fixture_until(struct control_fixture *f, control_fixture_is *is, const char *what)
{
    struct ev_loop *ev = loop_ev(f->loop);
    ev_timer tick; /* the fake's threads do not wake the loop */
    int64_t until = clock_monotonic(&f->clock) + (int64_t)WAIT_S * 1000000000;
    ev_timer_init(&tick, on_tick, TICK_MS / 1000.0, TICK_MS / 1000.0);
    ev_timer_start(ev, &tick);
    while (!check(f, is) && clock_monotonic(&f->clock) < until) {
        (void)ev_run(ev, EVRUN_ONCE);
    }
    ev_timer_stop(ev, &tick);
    if (!check(f, is)) {
        fail_msg("it never was so: %s", what);
    }
}

static void on_over(struct ev_loop *ev, ev_timer *timer, int events)
{
    (void)timer;
    (void)events;
    ev_break(ev, EVBREAK_ALL);
}

void control_fixture_run_ms(struct control_fixture *f, int ms)
{
    ev_timer over;
    ev_timer_init(&over, on_over, ms / 1000.0, 0.0);
    ev_timer_start(loop_ev(f->loop), &over);
    loop_run(f->loop);
    ev_timer_stop(loop_ev(f->loop), &over);
}

bool is_connected(struct control_fixture *f)
{
    struct control_status status;
    control_status(f->control, &status);
    return status.connected && f->fake.watch != NULL && f->fake.hellos > 0;
}

bool is_disconnected(struct control_fixture *f)
{
    struct control_status status;
    control_status(f->control, &status);
    return !status.connected;
}

bool has_shipped_all(struct control_fixture *f)
{
    struct control_status status;
    control_status(f->control, &status);
    return status.lag == 0 && f->fake.last == recorder_last_sequence(f->recorder);
}

void control_fixture_write(struct control_fixture *f, int count)
{
    uint8_t text[200];
    memset(text, 's', sizeof(text));
    for (int i = 0; i < count; i++) {
        Chaperone__V1__Intent intent = CHAPERONE__V1__INTENT__INIT;
        Chaperone__V1__Record record = CHAPERONE__V1__RECORD__INIT;
        intent.text = (ProtobufCBinaryData){.data = text, .len = (size_t)(i % 200)};
        record.event_case = CHAPERONE__V1__RECORD__EVENT_INTENT;
        record.intent = &intent;
        assert_int_equal(recorder_write(f->recorder, &record, NULL), OK);
    }
}
