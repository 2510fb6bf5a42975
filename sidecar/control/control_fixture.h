/* A control with its fake control plane, its directories and a loop that runs until something is
 * so. */
#ifndef CHAPERONE_SIDECAR_CONTROL_CONTROL_FIXTURE_H
#define CHAPERONE_SIDECAR_CONTROL_CONTROL_FIXTURE_H

#include <ev.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "policies/policy.h"
#include "sidecar/audit/recorder.h"
#include "sidecar/audit/spool.h"
#include "sidecar/control/control.h"
#include "sidecar/control/fake_control_plane.h"

struct control_fixture {
    struct fake fake;
    char dir[200], state_dir[256], spool_dir[256], server[64];
    struct loop *loop;
    struct clock clock;
    struct control_options options;
    struct control *control;
    struct recorder *recorder;
    struct spool_system system;
    _Atomic bool map_fails; /* of files of the spool that are read */
    _Atomic int maps_failed;

    /* What the control has called. */
    int enrolled, policies, kills;
    uint64_t policy_revision;
    char policy_hash[128];
    char killed[64], killed_by[64], kill_reason[64];
    bool kill_finds;
    char killed_identity[64], killed_resource[64];
    bool killed_all;
    int64_t killed_ordered_ns;
    size_t open_sessions;
    const char *held; /* an approval that is waited for; NULL: none */
    int decisions;
    char decided[64];
    Chaperone__V1__ApprovalState decided_state;
    _Atomic int tokens_asked;
    _Atomic(const char *) token; /* what the token source gives; NULL: it fails */
};

int control_fixture_setup(void **state);
int control_fixture_teardown(void **state);

void control_fixture_start(struct control_fixture *f);
void control_fixture_stop(struct control_fixture *f);
void control_fixture_open_recorder(struct control_fixture *f);

/* Runs the loop until it is so; fails after a minute. Under the fake's lock. */
typedef bool control_fixture_is(struct control_fixture *f);
void control_fixture_until(struct control_fixture *f, control_fixture_is *is, const char *what);
#define UNTIL(f, condition_function)                                                               \
    control_fixture_until((f), (condition_function), #condition_function)

/* Runs the loop for that long: for what must not happen. */
void control_fixture_run_ms(struct control_fixture *f, int ms);

bool is_connected(struct control_fixture *f);
bool is_disconnected(struct control_fixture *f);
bool has_shipped_all(struct control_fixture *f);

void control_fixture_write(struct control_fixture *f, int count);

#endif
