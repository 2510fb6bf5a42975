/* Identity: how a sidecar gets it, keeps it and renews it, and whom it believes. */
#include <dirent.h>
#include <fcntl.h>
#include <semaphore.h>
#include <stdio.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>
#include <sys/wait.h>
#include <unistd.h>

#include "sidecar/control/control_fixture.h"

static void mode_of(const struct control_fixture *f, const char *name, mode_t *out)
{
    char path[512];
    struct stat status;
    (void)snprintf(path, sizeof(path), "%s/%s", f->state_dir, name);
    assert_int_equal(stat(path, &status), 0);
    *out = status.st_mode & 0777;
}

static void enrols_with_a_join_token(void **state)
{
    struct control_fixture *f = *state;
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    mode_t mode = 0;
    f->open_sessions = 3;
    control_fixture_start(f);
    assert_null(control_sidecar_id(f->control));
    UNTIL(f, is_connected);
    assert_int_equal(f->enrolled, 1);
    assert_string_equal(control_sidecar_id(f->control), f->fake.sidecar);
    assert_int_equal(f->fake.enrolled, 1);
    assert_string_equal(f->fake.seen_name, "pod-7");
    assert_string_equal(f->fake.seen_version, "1.2.3");
    assert_string_equal(f->fake.seen_sidecar, "");
    crypto_ed25519_public(control_key(f->control), key);
    assert_memory_equal(key, f->fake.seen_key, sizeof(key));
    assert_int_equal(f->fake.hello_resources, 2);
    assert_int_equal(f->fake.hello_sessions, 3);
    struct control_status status;
    control_status(f->control, &status);
    assert_true(status.enrolled);
    assert_string_equal(status.sidecar, f->fake.sidecar);
    assert_true(status.not_after_unix_ns > clock_wall(&f->clock));
    mode_of(f, ".", &mode);
    assert_int_equal(mode, 0700);
    mode_of(f, "key.pem", &mode);
    assert_int_equal(mode, 0600);
    mode_of(f, "certificate.pem", &mode);
    assert_int_equal(mode, 0600);
}

static void keeps_its_identity_over_a_restart(void **state)
{
    struct control_fixture *f = *state;
    uint8_t key[CRYPTO_ED25519_PUBLIC_SIZE];
    uint8_t again[CRYPTO_ED25519_PUBLIC_SIZE];
    control_fixture_start(f);
    UNTIL(f, is_connected);
    crypto_ed25519_public(control_key(f->control), key);
    control_fixture_stop(f);
    f->options.join_token = NULL; /* not needed any more */
    f->fake.hellos = 0;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    crypto_ed25519_public(control_key(f->control), again);
    assert_memory_equal(key, again, sizeof(key));
    assert_int_equal(f->fake.enrolled, 1);
    assert_int_equal(f->enrolled, 2);
}

static bool has_enrolled_twice(struct control_fixture *f)
{
    return f->fake.enrolled == 2;
}

static void lost_certificate_asks_for_the_same_id(void **state)
{
    struct control_fixture *f = *state;
    char path[512];
    control_fixture_start(f);
    UNTIL(f, is_connected);
    control_fixture_stop(f);
    (void)snprintf(path, sizeof(path), "%s/certificate.pem", f->state_dir);
    assert_int_equal(truncate(path, 100), 0); /* damaged */
    control_fixture_start(f);
    UNTIL(f, has_enrolled_twice);
    assert_string_equal(f->fake.seen_sidecar, f->fake.sidecar);
}

static enum err give_token(void *context, struct buffer *out, struct err_text *why)
{
    struct control_fixture *f = context;
    const char *token = f->token; /* as it is before the test knows that it was asked for */
    f->tokens_asked++;
    if (token == NULL) {
        return err_set(why, ERR_NOT_FOUND, "there is no token file yet");
    }
    return buffer_append_string(out, token);
}

static void enrols_with_the_agents_token(void **state)
{
    struct control_fixture *f = *state;
    f->options.join_token = NULL;
    f->options.token = give_token;
    f->options.token_context = f;
    f->token = "eyJ.agent.token";
    (void)snprintf(f->fake.oidc_token, FAKE_TEXT, "eyJ.agent.token");
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_int_equal(f->tokens_asked, 1);
    assert_int_equal(f->fake.enrolled, 1);
}

static bool has_asked_for_a_token(struct control_fixture *f)
{
    return f->tokens_asked > 0;
}

static void token_that_comes_late_is_asked_for_again(void **state)
{
    struct control_fixture *f = *state;
    f->options.join_token = NULL;
    f->options.token = give_token;
    f->options.token_context = f;
    (void)snprintf(f->fake.oidc_token, FAKE_TEXT, "eyJ.agent.token");
    control_fixture_start(f);
    UNTIL(f, has_asked_for_a_token);
    f->token = "eyJ.agent.token";
    UNTIL(f, is_connected);
    assert_true(f->tokens_asked >= 2);
}

static void used_join_token_gives_way_to_the_agents(void **state)
{
    struct control_fixture *f = *state;
    f->options.join_token = "used up";
    f->options.token = give_token;
    f->options.token_context = f;
    f->token = "eyJ.agent.token";
    (void)snprintf(f->fake.oidc_token, FAKE_TEXT, "eyJ.agent.token");
    control_fixture_start(f);
    UNTIL(f, is_connected);
    assert_int_equal(f->fake.refused, 1);
}

static bool has_been_refused(struct control_fixture *f)
{
    return f->fake.refused > 0;
}

static void refused_join_token_is_no_identity(void **state)
{
    struct control_fixture *f = *state;
    f->options.join_token = "guessed";
    control_fixture_start(f);
    UNTIL(f, has_been_refused);
    control_fixture_run_ms(f, 50);
    assert_int_equal(f->enrolled, 0);
    assert_null(control_sidecar_id(f->control));
    assert_int_equal(f->fake.watches, 0);
}

static bool has_issued(struct control_fixture *f)
{
    return f->fake.enrolled > 0;
}

static void certificate_for_another_key_is_not_taken(void **state)
{
    struct control_fixture *f = *state;
    f->fake.wrong_key = true;
    control_fixture_start(f);
    UNTIL(f, has_issued);
    control_fixture_run_ms(f, 100);
    assert_int_equal(f->enrolled, 0);
    char path[512];
    (void)snprintf(path, sizeof(path), "%s/certificate.pem", f->state_dir);
    assert_int_equal(access(path, F_OK), -1);
}

static void id_that_is_none_is_not_taken(void **state)
{
    struct control_fixture *f = *state;
    (void)snprintf(f->fake.sidecar, FAKE_TEXT, "../../etc/passwd");
    control_fixture_start(f);
    UNTIL(f, has_issued);
    control_fixture_run_ms(f, 100);
    assert_int_equal(f->enrolled, 0);
}

static bool has_renewed(struct control_fixture *f)
{
    return f->fake.renewed >= 2 && f->fake.watches >= 3;
}

static void renews_before_the_end(void **state)
{
    struct control_fixture *f = *state;
    struct control_status before;
    struct control_status after;
    f->fake.lifetime_s = 6;
    control_fixture_start(f);
    UNTIL(f, is_connected);
    control_status(f->control, &before);
    UNTIL(f, has_renewed);
    UNTIL(f, is_connected);
    control_status(f->control, &after);
    assert_true(after.not_after_unix_ns > before.not_after_unix_ns);
    assert_int_equal(f->enrolled, 1); /* said once */
    assert_int_equal(f->fake.enrolled, 1);
}

static int64_t tomorrow(void *context)
{
    struct clock system = clock_system();
    (void)context;
    return clock_wall(&system) + INT64_C(86400) * 1000000000;
}

static sem_t token_is_there;

static enum err give_token_late(void *context, struct buffer *out, struct err_text *why)
{
    struct control_fixture *f = context;
    (void)why;
    f->tokens_asked++;
    while (sem_wait(&token_is_there) != 0) { /* a signal */
    }
    return buffer_append_string(out, "eyJ.agent.token");
}

static bool is_revoked(struct control_fixture *f)
{
    struct control_status status;
    control_status(f->control, &status);
    return status.revoked;
}

/* Its certificate has ended, and the token for another one is being fetched. */
static void revoked_sidecar_shows_no_token_any_more(void **state)
{
    struct control_fixture *f = *state;
    assert_int_equal(sem_init(&token_is_there, 0, 0), 0);
    f->options.token = give_token_late;
    f->options.token_context = f;
    f->fake.lifetime_s = 3;
    (void)snprintf(f->fake.oidc_token, FAKE_TEXT, "eyJ.agent.token");
    control_fixture_start(f);
    UNTIL(f, is_connected);
    f->clock.wall_ns = tomorrow;
    UNTIL(f, has_asked_for_a_token);
    assert_true(fake_revoke(&f->fake, "this sidecar has been revoked (s1, today)"));
    UNTIL(f, is_revoked);
    assert_int_equal(sem_post(&token_is_there), 0);
    control_fixture_run_ms(f, 500);
    assert_int_equal(f->fake.enrolled, 1);
    assert_int_equal(f->enrolled, 1);
}

/* ---- whom it believes ---- */

static bool has_tried(struct control_fixture *f)
{
    return fake_door_count(f->fake.door) > 0;
}

static void expect_no_enrolment(struct control_fixture *f)
{
    control_fixture_start(f);
    UNTIL(f, has_tried);
    control_fixture_run_ms(f, 700);
    assert_int_equal(f->fake.enrolled + f->fake.refused, 0); /* and shown no token */
    assert_int_equal(f->enrolled, 0);
}

static void server_of_another_ca_gets_no_token(void **state)
{
    struct control_fixture *f = *state;
    struct fake_ca other;
    fake_ca_init(&other);
    f->options.ca_pem = buffer_bytes(&other.pem);
    expect_no_enrolment(f);
    fake_ca_finish(&other);
}

static void server_of_another_name_gets_no_token(void **state)
{
    struct control_fixture *f = *state;
    f->options.server_name = "control.example.com";
    expect_no_enrolment(f);
}

static void name_in_the_certificate_is_enough(void **state)
{
    struct control_fixture *f = *state;
    f->options.server_name = "localhost";
    control_fixture_start(f);
    UNTIL(f, is_connected);
}

static void old_tls_gets_no_token(void **state)
{
    struct control_fixture *f = *state;
    fake_door_set_mood(f->fake.door, DOOR_OLD_TLS);
    expect_no_enrolment(f);
}

static void server_without_h2_gets_no_token(void **state)
{
    struct control_fixture *f = *state;
    fake_door_set_mood(f->fake.door, DOOR_NO_ALPN);
    expect_no_enrolment(f);
}

static void noise_in_place_of_tls_does_no_harm(void **state)
{
    struct control_fixture *f = *state;
    fake_door_set_mood(f->fake.door, DOOR_PLAIN);
    expect_no_enrolment(f);
    fake_door_set_mood(f->fake.door, DOOR_HONEST);
    UNTIL(f, is_connected);
}

/* Whether this process holds the socket with this inode. */
static bool is_ours(const char *inode)
{
    char expected[64], link[64];
    bool found = false;
    (void)snprintf(expected, sizeof(expected), "socket:[%s]", inode);
    DIR *d = opendir("/proc/self/fd");
    assert_non_null(d);
    for (struct dirent *e = readdir(d); e != NULL && !found; e = readdir(d)) {
        ssize_t size = readlinkat(dirfd(d), e->d_name, link, sizeof(link) - 1);
        link[size < 0 ? 0 : size] = '\0';
        found = strcmp(link, expected) == 0;
    }
    (void)closedir(d);
    return found;
}

enum { TUNNEL_NAME = 64 };

/* The name of our tunnel's socket, from the kernel's table, which has those of all processes. */
static void find_tunnel(char name[TUNNEL_NAME])
{
    char line[512], inode[24];
    FILE *table = fopen("/proc/net/unix", "r");
    assert_non_null(table);
    name[0] = '\0';
    while (name[0] == '\0' && fgets(line, sizeof(line), table) != NULL) {
        /* Num RefCount Protocol Flags Type St Inode Path */
        const char *at = strstr(line, "@chaperone-");
        if (at != NULL && sscanf(line, "%*s %*s %*s %*s %*s %*s %23s", inode) == 1 &&
            is_ours(inode)) {
            (void)snprintf(name, TUNNEL_NAME, "%.*s", (int)strcspn(at + 1, "\n"), at + 1);
        }
    }
    (void)fclose(table);
    assert_string_not_equal(name, "");
}

static void stranger_cannot_use_the_tunnel(void **state)
{
    struct control_fixture *f = *state;
    char name[TUNNEL_NAME];
    control_fixture_start(f);
    UNTIL(f, is_connected);
    int before = fake_door_count(f->fake.door);
    find_tunnel(name);
    pid_t child = fork();
    if (child == 0) {
        struct sockaddr_un a = {.sun_family = AF_UNIX};
        memcpy(a.sun_path + 1, name, strlen(name));
        int fd = socket(AF_UNIX, SOCK_STREAM, 0);
        socklen_t length = (socklen_t)(offsetof(struct sockaddr_un, sun_path) + 1 + strlen(name));
        char byte;
        if (connect(fd, (struct sockaddr *)&a, length) != 0) {
            _exit(2);
        }
        _exit(read(fd, &byte, 1) <= 0 ? 0 : 1); /* the end, and nothing else */
    }
    int status = -1;
    pid_t ended = 0;
    for (int i = 0; i < 6000 && ended == 0; i++) {
        control_fixture_run_ms(f, 10);
        ended = waitpid(child, &status, WNOHANG);
    }
    assert_int_equal(ended, child);
    assert_int_equal(WEXITSTATUS(status), 0);
    assert_int_equal(fake_door_count(f->fake.door), before);
}

/* ---- options ---- */

static void options_are_checked(void **state)
{
    struct control_fixture *f = *state;
    struct err_text why = {.text = ""};
    f->options.server = "nonsense";
    assert_int_equal(control_start(&f->options, &f->control, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "nonsense"));
    f->options.server = f->server;
    f->options.ca_pem = bytes_of_string("not a certificate");
    assert_int_equal(control_start(&f->options, &f->control, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "CA"));
    f->options.ca_pem = buffer_bytes(&f->fake.ca.pem);
    f->options.state_dir = "/proc/nowhere";
    assert_int_equal(control_start(&f->options, &f->control, &why), ERR_INVALID);
    assert_non_null(strstr(why.text, "/proc/nowhere"));
    assert_null(f->control);
}

static void second_sidecar_on_the_same_state_is_refused(void **state)
{
    struct control_fixture *f = *state;
    struct control *second = NULL;
    struct err_text why = {.text = ""};
    control_fixture_start(f);
    assert_int_equal(control_start(&f->options, &second, &why), ERR_EXISTS);
    assert_null(second);
}

static void can_be_stopped_at_any_moment(void **state)
{
    struct control_fixture *f = *state;
    f->options.token = give_token;
    f->options.token_context = f;
    f->options.join_token = "used up";
    f->token = "eyJ.agent.token";
    (void)snprintf(f->fake.oidc_token, FAKE_TEXT, "eyJ.agent.token");
    for (int ms = 0; ms < 60; ms += 3) {
        control_fixture_start(f);
        control_fixture_run_ms(f, ms);
        control_fixture_stop(f);
    }
}

#define WITH_FIXTURE(test)                                                                         \
    cmocka_unit_test_setup_teardown(test, control_fixture_setup, control_fixture_teardown)

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITH_FIXTURE(enrols_with_a_join_token),
        WITH_FIXTURE(keeps_its_identity_over_a_restart),
        WITH_FIXTURE(lost_certificate_asks_for_the_same_id),
        WITH_FIXTURE(enrols_with_the_agents_token),
        WITH_FIXTURE(token_that_comes_late_is_asked_for_again),
        WITH_FIXTURE(used_join_token_gives_way_to_the_agents),
        WITH_FIXTURE(refused_join_token_is_no_identity),
        WITH_FIXTURE(certificate_for_another_key_is_not_taken),
        WITH_FIXTURE(id_that_is_none_is_not_taken),
        WITH_FIXTURE(renews_before_the_end),
        WITH_FIXTURE(revoked_sidecar_shows_no_token_any_more),
        WITH_FIXTURE(server_of_another_ca_gets_no_token),
        WITH_FIXTURE(server_of_another_name_gets_no_token),
        WITH_FIXTURE(name_in_the_certificate_is_enough),
        WITH_FIXTURE(old_tls_gets_no_token),
        WITH_FIXTURE(server_without_h2_gets_no_token),
        WITH_FIXTURE(noise_in_place_of_tls_does_no_harm),
        WITH_FIXTURE(stranger_cannot_use_the_tunnel),
        WITH_FIXTURE(options_are_checked),
        WITH_FIXTURE(second_sidecar_on_the_same_state_is_refused),
        WITH_FIXTURE(can_be_stopped_at_any_moment),
    };
    return cmocka_run_group_tests(tests, NULL, NULL);
}
