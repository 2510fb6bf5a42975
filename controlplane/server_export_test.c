/* Export jobs in a whole control plane: who may see them, and that they do what a reload says. */
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "controlplane/testing/fixture.h"

enum { DEADLINE_MS = 60000, TRIES = 12000, TRY_US = 5000 };

static struct answer list(struct fixture *f, const char *token)
{
    Chaperone__V1__ListExportJobsRequest request = CHAPERONE__V1__LIST_EXPORT_JOBS_REQUEST__INIT;
    return fixture_call(f->channel, &chaperone__v1__administration__descriptor, "ListExportJobs",
                        &request.base, token, DEADLINE_MS);
}

static void run_with(struct fixture *f, const char *job)
{
    char extra[256];
    (void)snprintf(extra, sizeof(extra),
                   "exports: [{name: %s, from: beginning, file: {directory: '%s/out'}}]\n", job,
                   f->directory);
    const struct fixture_config config = {.extra = extra};
    fixture_write_config(f, &config);
}

static void only_admins_and_auditors_see_jobs(void **state)
{
    struct fixture *f = *state;
    static const struct {
        const char *group;
        enum rpc_code code;
    } cases[] = {{"admins", RPC_OK},
                 {"auditors", RPC_OK},
                 {"approvers", RPC_PERMISSION_DENIED},
                 {"bots", RPC_PERMISSION_DENIED},
                 {"agents", RPC_PERMISSION_DENIED}};
    for (size_t i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
        char *token = fixture_token(f, "ann", cases[i].group);
        assert_answer(list(f, token), cases[i].code, "");
        free(token);
    }
    assert_answer(list(f, NULL), RPC_UNAUTHENTICATED, "");
}

/* The job's name once it has sent something; owned. */
static char *await_sent(struct fixture *f, const char *token)
{
    for (int i = 0; i < TRIES; i++) {
        struct answer answer = list(f, token);
        assert_int_equal(answer.status.code, RPC_OK);
        const Chaperone__V1__ListExportJobsResponse *r =
            (const Chaperone__V1__ListExportJobsResponse *)answer.reply;
        assert_int_equal(r->n_jobs, 1);
        char *name = r->jobs[0]->records > 0 ? strdup(r->jobs[0]->name) : NULL;
        assert_string_equal(r->jobs[0]->kind, "file");
        answer_finish(&answer);
        if (name != NULL) {
            return name;
        }
        (void)usleep(TRY_US);
    }
    fail_msg("nothing was sent");
    return NULL;
}

static void jobs_run_and_a_reload_exchanges_them(void **state)
{
    struct fixture *f = *state;
    run_with(f, "first");
    fixture_restart(f);
    char *token = fixture_token(f, "ann", "admins");
    struct sidecar s = fixture_sidecar(f);
    struct records stream = {.sidecar = s.id};
    ProtobufCBinaryData records[] = {
        records_opened(&stream, "0192f3a4-5b6c-7d8e-9f00-112233445566", "bot")};
    fixture_ship(&s, records, 1);
    char *name = await_sent(f, token);
    assert_string_equal(name, "first");
    free(name);
    run_with(f, "second");
    assert_int_equal(server_reload(f->server, NULL), OK);
    name = await_sent(f, token);
    assert_string_equal(name, "second");
    free(name);
    /* One that cannot be leaves the jobs as they are. */
    const struct fixture_config wrong = {
        .extra = "exports: [{name: k, kafka: {brokers: ['a:1'], topic: t, options: {no.such: 1}}}]"
                 "\n"};
    struct err_text why = {0};
    fixture_write_config(f, &wrong);
    assert_int_equal(server_reload(f->server, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "no.such"));
    name = await_sent(f, token);
    assert_string_equal(name, "second");
    free(name);
    sidecar_finish(&s);
    free(token);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(only_admins_and_auditors_see_jobs, fixture_setup,
                                        fixture_teardown),
        cmocka_unit_test_setup_teardown(jobs_run_and_a_reload_exchanges_them, fixture_setup,
                                        fixture_teardown),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
