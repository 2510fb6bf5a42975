/* The client against a server that lies. */
#include <arpa/inet.h>
#include <curl/curl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>

#include "controlplane/witness/witness_fixture.h"

static enum err read_nothing(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    (void)context;
    (void)level;
    (void)index;
    (void)out;
    return ERR_NOT_FOUND;
}

static enum MHD_Result reply_send(struct MHD_Connection *c, const struct reply *reply)
{
    struct MHD_Response *r = MHD_create_response_from_buffer(
        strlen(reply->body), (void *)(uintptr_t)reply->body, MHD_RESPMEM_PERSISTENT);
    if (reply->type != NULL) {
        (void)MHD_add_response_header(r, reply->status / 100 == 3 ? "Location" : "Content-Type",
                                      reply->type);
    }
    enum MHD_Result queued = MHD_queue_response(c, reply->status, r);
    MHD_destroy_response(r);
    return queued;
}

static enum MHD_Result serve(void *context, struct MHD_Connection *c, const char *path,
                             const char *method, const char *version, const char *data,
                             size_t *size, void **state)
{
    (void)version;
    struct fixture *f = context;
    if (*state == NULL) {
        *state = f;
        buffer_clear(&f->request);
        return MHD_YES;
    }
    if (*size > 0) {
        bool fits = buffer_append(&f->request, bytes_of(data, *size)) == OK;
        *size = 0;
        return fits ? MHD_YES : MHD_NO;
    }
    struct tlog_witness_request request;
    bool good = strcmp(path, "/prefix/add-checkpoint") == 0 && strcmp(method, "POST") == 0 &&
                f->asked < SCRIPT_MAX &&
                tlog_witness_request_parse(buffer_bytes(&f->request), &request, NULL) == OK;
    if (!good) {
        return MHD_NO;
    }
    f->asked_old[f->asked] = request.old_size;
    return reply_send(c, &f->script[f->asked++]);
}

/* The replies in their order; behind the last one, an empty 500. */
static void fake_start(struct fixture *f, const struct reply *script, size_t count)
{
    for (size_t i = 0; i < SCRIPT_MAX; i++) {
        f->script[i] = i < count ? script[i] : (struct reply){500, NULL, ""};
    }
    f->asked = 0;
    if (f->fake == NULL) {
        struct sockaddr_in address = {.sin_family = AF_INET,
                                      .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
        f->fake = MHD_start_daemon(MHD_USE_INTERNAL_POLLING_THREAD, 0, NULL, NULL, serve, f,
                                   MHD_OPTION_SOCK_ADDR, &address, MHD_OPTION_END);
        assert_non_null(f->fake);
        f->port = MHD_get_daemon_info(f->fake, MHD_DAEMON_INFO_BIND_PORT)->port;
    }
    witness_destroy(f->client);
    f->client = NULL;
    witness_fixture_client_to_port(f, "/prefix");
}

#define FAKE(f, ...)                                                                               \
    fake_start((f), (const struct reply[]){__VA_ARGS__},                                           \
               sizeof((const struct reply[]){__VA_ARGS__}) / sizeof(struct reply))

#define SIZE_REPLY(text)                                                                           \
    {                                                                                              \
        409, TLOG_WITNESS_SIZE_TYPE, text "\n"                                                     \
    }

/* A cosignature of the honest tree of `size`, appended to `body`, which ends with a NUL. */
static const char *cosigned(struct fixture *f, const struct tlog_signer *signer,
                            const struct branch *b, uint64_t size, uint64_t time)
{
    struct tlog_note note;
    witness_fixture_note(f, b, size);
    buffer_clear(&f->body);
    assert_int_equal(tlog_note_parse(buffer_bytes(&f->note), &note, NULL), OK);
    assert_int_equal(tlog_note_sign_line(note.text, signer, time, &f->body), OK);
    assert_int_equal(buffer_append(&f->body, bytes_of("", 1)), OK);
    return (const char *)buffer_bytes(&f->body).data;
}

static void the_size_that_it_saw_is_asked_for(void **state)
{
    struct fixture *f = *state;
    const char *good = cosigned(f, &f->self, &honest, 9, NOW_S);
    FAKE(f, SIZE_REPLY("7"), {200, NULL, good}, {200, NULL, good});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), OK);
    assert_int_equal(f->asked_old[0], 0);
    assert_int_equal(f->asked_old[1], 7);
    /* And remembered. */
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), OK);
    assert_int_equal(f->asked, 3);
    assert_int_equal(f->asked_old[2], 9);
}

static void it_has_seen_more(void **state)
{
    struct fixture *f = *state;
    FAKE(f, SIZE_REPLY("10"), SIZE_REPLY("10"));
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_EXISTS);
    assert_int_equal(f->seen, 10);
    /* Again: what is remembered is not taken for what is. */
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_EXISTS);
    assert_int_equal(f->asked_old[1], 0);
}

static void it_has_seen_another_tree(void **state)
{
    struct fixture *f = *state;
    FAKE(f, SIZE_REPLY("7"), {422, NULL, "no"});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_INVALID);
    assert_int_equal(f->seen, 7);
    FAKE(f, SIZE_REPLY("9"), SIZE_REPLY("9"));
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_INVALID);
    assert_int_equal(f->seen, 9);
    /* With this, a size is not asked for. */
    FAKE(f, SIZE_REPLY("9"), {409, "text/plain", "another tree"});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_INVALID);
}

static void lies(void **state)
{
    struct fixture *f = *state;
    static const struct branch fork = {.fork_at = 3, .number = 1};
    /* Of another key by the same name, on another tree, on another size. */
    FAKE(f, {200, NULL, cosigned(f, &f->other, &honest, 9, NOW_S)});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
    FAKE(f, {200, NULL, cosigned(f, &f->self, &fork, 9, NOW_S)});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 8, NOW_S)});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
    /* A signature that was changed. */
    char *changed = strdup(cosigned(f, &f->self, &honest, 9, NOW_S));
    changed[strlen(changed) - 10] = changed[strlen(changed) - 10] == 'A' ? 'B' : 'A';
    FAKE(f, {200, NULL, changed});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
    free(changed);
    /* Of the future. */
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 9, NOW_S + 3600)});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
    assert_non_null(strstr(f->why.text, "3600 s ahead"));
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 9, TLOG_TIME_MAX)});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
    /* A clock that is a little ahead is none. */
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 9, NOW_S + 200)});
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), OK);
}

static void answers_without_sense(void **state)
{
    struct fixture *f = *state;
    char *large = calloc(1, TLOG_WITNESS_ANSWER_MAX + 2);
    memset(large, 'x', TLOG_WITNESS_ANSWER_MAX + 1);
    const struct reply replies[] = {
        {200, NULL, ""},
        {200, NULL, "\n"},
        {200, NULL, "<html></html>\n"},
        {200, NULL, large},
        {409, NULL, "7\n"},
        {409, TLOG_WITNESS_SIZE_TYPE, "seven\n"},
        {409, TLOG_WITNESS_SIZE_TYPE, "07\n"},
        {409, TLOG_WITNESS_SIZE_TYPE, "99999999999999999999\n"},
        SIZE_REPLY("0"),
        {422, NULL, "every tree extends the empty one"},
        {400, NULL, ""},
        {403, NULL, ""},
        {404, NULL, ""},
        {413, NULL, ""},
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        fake_start(f, &replies[i], 1);
        assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_DENIED);
        assert_int_equal(f->asked, 1);
    }
    free(large);
    /* Another size each time: it is not asked without end. */
    FAKE(f, SIZE_REPLY("1"), SIZE_REPLY("2"), SIZE_REPLY("3"), SIZE_REPLY("4"), SIZE_REPLY("5"));
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_UNAVAILABLE);
    assert_int_equal(f->asked, 4);
}

static void it_cannot_now(void **state)
{
    struct fixture *f = *state;
    static const struct reply replies[] = {
        {500, NULL, ""}, {502, NULL, ""}, {503, NULL, ""},  {429, NULL, ""},
        {204, NULL, ""}, {302, "/", ""},  {307, "/x", "x"},
    };
    for (size_t i = 0; i < sizeof(replies) / sizeof(replies[0]); i++) {
        fake_start(f, &replies[i], 1);
        assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_UNAVAILABLE);
        assert_int_equal(f->asked, 1);
    }
}

static void nobody_answers(void **state)
{
    struct fixture *f = *state;
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    socklen_t size = sizeof(address);
    char url[64];
    int fd = socket(AF_INET, SOCK_STREAM, 0);
    assert_int_equal(bind(fd, (struct sockaddr *)&address, size), 0);
    assert_int_equal(getsockname(fd, (struct sockaddr *)&address, &size), 0);
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u/", ntohs(address.sin_port));
    assert_int_equal(witness_fixture_client(f, url, 200), OK);
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_UNAVAILABLE);
    /* It takes the connection and says nothing. */
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(witness_fixture_cosign(f, &honest, 9), ERR_UNAVAILABLE);
    (void)close(fd);
}

static void a_tree_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    struct tlog_reader broken = {.read = read_nothing};
    FAKE(f, SIZE_REPLY("7"));
    witness_fixture_note(f, &honest, 9);
    assert_int_equal(
        witness_cosign(f->client, buffer_bytes(&f->note), 9, &broken, &f->line, &f->seen, &f->why),
        ERR_NOT_FOUND);
}

static void who_may_be_asked(void **state)
{
    struct fixture *f = *state;
    static const char *const refused[] = {
        "",
        "witness.example",
        "http://witness.example/",
        "http://127.0.0.1.example/",
        "ftp://127.0.0.1/",
        "file:///etc/passwd",
        "https://user@witness.example/",
        "https://witness.example/?x=1",
        "https://witness.example/#x",
    };
    static const char *const accepted[] = {"https://witness.example", "https://witness.example/a/",
                                           "http://127.0.0.1:1/", "http://[::1]:1",
                                           "http://localhost:1"};
    for (size_t i = 0; i < sizeof(refused) / sizeof(refused[0]); i++) {
        assert_int_equal(witness_fixture_client(f, refused[i], TIMEOUT_MS), ERR_INVALID);
        assert_int_not_equal(f->why.text[0], '\0');
    }
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        assert_int_equal(witness_fixture_client(f, accepted[i], TIMEOUT_MS), OK);
        witness_destroy(f->client);
        f->client = NULL;
    }
    assert_int_equal(witness_fixture_client(f, accepted[0], 0), ERR_INVALID);
    f->trusted = f->log.verifier;
    assert_int_equal(witness_fixture_client(f, accepted[0], TIMEOUT_MS), ERR_INVALID);
    witness_destroy(NULL);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        WITNESS_TEST(the_size_that_it_saw_is_asked_for),
        WITNESS_TEST(it_has_seen_more),
        WITNESS_TEST(it_has_seen_another_tree),
        WITNESS_TEST(lies),
        WITNESS_TEST(answers_without_sense),
        WITNESS_TEST(it_cannot_now),
        WITNESS_TEST(nobody_answers),
        WITNESS_TEST(a_tree_that_cannot_be_read),
        WITNESS_TEST(who_may_be_asked),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
