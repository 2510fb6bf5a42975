/* The client against a server that lies, and against the real one. */
#include "controlplane/witness/witness.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <microhttpd.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>

#include <cmocka.h>
#include <unistd.h>

#include "base/testing/scratch.h"
#include "base/tlog/checkpoint.h"
#include "base/tlog/witness_request.h"
#include "cli/witness/cosigner.h"
#include "cli/witness/http.h"

#define ORIGIN "log.example/audit"
#define NAME "w.example/w1"

enum { NOW_S = 1750000000, TIMEOUT_MS = 60000, SCRIPT_MAX = 8 };

/* ---- the log: of two branches, which have the first `fork_at` leaves in common ----------------
 */

struct branch {
    uint64_t fork_at; /* UINT64_MAX: the honest one */
    uint32_t number;
};

static const struct branch honest = {.fork_at = UINT64_MAX};

static enum err read_hash(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    const struct branch *b = context;
    struct tlog_hash left, right;
    if (level == 0) {
        char record[64];
        int size = snprintf(record, sizeof(record), "%llu of %u", (unsigned long long)index,
                            index >= b->fork_at ? b->number : 0);
        tlog_hash_leaf(bytes_of(record, (size_t)size), out);
        return OK;
    }
    enum err e = read_hash(context, level - 1, 2 * index, &left);
    if (e == OK) {
        e = read_hash(context, level - 1, 2 * index + 1, &right);
    }
    tlog_hash_node(&left, &right, out);
    return e;
}

static struct tlog_reader reader_of(const struct branch *b)
{
    return (struct tlog_reader){.read = read_hash, .context = (void *)(uintptr_t)b};
}

static enum err read_nothing(void *context, unsigned level, uint64_t index, struct tlog_hash *out)
{
    (void)context;
    (void)level;
    (void)index;
    (void)out;
    return ERR_NOT_FOUND;
}

/* ---- what all tests have ----------------------------------------------------------------------
 */

struct reply {
    unsigned status;
    const char *type, *body;
};

struct fixture {
    struct crypto_ed25519 *log_key, *witness_key, *other_key;
    struct tlog_signer log, self, other; /* self: the witness as the fake plays it */
    struct tlog_verifier trusted;        /* the witness that the client is told of */
    int64_t now_ns;
    char directory[SCRATCH_SIZE];
    struct cosigner *cosigner;
    struct witness_http *http;
    struct MHD_Daemon *fake;
    struct reply script[SCRIPT_MAX];
    size_t asked;
    uint64_t asked_old[SCRIPT_MAX];
    struct buffer request;
    uint16_t port;
    struct witness *client;
    struct buffer note, line, body;
    uint64_t seen;
    struct err_text why;
};

static int64_t fixture_now(void *context)
{
    return ((const struct fixture *)context)->now_ns;
}

static struct clock clock_of(struct fixture *f)
{
    return (struct clock){.wall_ns = fixture_now, .monotonic_ns = fixture_now, .context = f};
}

static void signer_make(const char *name, enum tlog_key_type type, struct crypto_ed25519 **key,
                        struct tlog_signer *out)
{
    assert_int_equal(crypto_ed25519_generate(key), OK);
    assert_int_equal(tlog_signer_init(bytes_of_string(name), type, *key, out), OK);
}

static int set_up(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    assert_non_null(f);
    f->now_ns = (int64_t)NOW_S * 1000000000;
    signer_make(ORIGIN, TLOG_KEY_ED25519, &f->log_key, &f->log);
    signer_make(NAME, TLOG_KEY_COSIGNATURE, &f->witness_key, &f->self);
    signer_make(NAME, TLOG_KEY_COSIGNATURE, &f->other_key, &f->other);
    f->trusted = f->self.verifier;
    buffer_init(&f->request, TLOG_WITNESS_REQUEST_MAX);
    buffer_init(&f->note, 4096);
    buffer_init(&f->line, 4096);
    buffer_init(&f->body, 1 << 20);
    *state = f;
    return 0;
}

static int tear_down(void **state)
{
    struct fixture *f = *state;
    witness_destroy(f->client);
    witness_http_stop(f->http);
    cosigner_destroy(f->cosigner);
    if (f->fake != NULL) {
        MHD_stop_daemon(f->fake);
    }
    if (f->directory[0] != '\0') {
        scratch_remove(f->directory);
    }
    crypto_ed25519_destroy(f->log_key);
    crypto_ed25519_destroy(f->witness_key);
    crypto_ed25519_destroy(f->other_key);
    buffer_finish(&f->request);
    buffer_finish(&f->note);
    buffer_finish(&f->line);
    buffer_finish(&f->body);
    free(f);
    return 0;
}

static enum err client_make(struct fixture *f, const char *url, int64_t timeout_ms)
{
    struct witness_options options = {.url = url,
                                      .verifier = &f->trusted,
                                      .timeout_ns = timeout_ms * 1000000,
                                      .clock = clock_of(f)};
    f->why.text[0] = '\0';
    return witness_create(&options, &f->client, &f->why);
}

static void client_to_port(struct fixture *f, const char *path)
{
    char url[64];
    (void)snprintf(url, sizeof(url), "http://127.0.0.1:%u%s", f->port, path);
    assert_int_equal(client_make(f, url, TIMEOUT_MS), OK);
}

/* Signs a checkpoint of the branch into `note`. */
static void note_make(struct fixture *f, const struct branch *b, uint64_t size)
{
    struct tlog_checkpoint checkpoint = {.origin = bytes_of_string(ORIGIN), .size = size};
    struct tlog_reader reader = reader_of(b);
    struct buffer text;
    buffer_init(&text, 4096);
    buffer_clear(&f->note);
    assert_int_equal(tlog_tree_root(&reader, size, &checkpoint.root), OK);
    assert_int_equal(tlog_checkpoint_format(&checkpoint, &text), OK);
    assert_int_equal(tlog_note_sign(buffer_bytes(&text), &f->log, 1, 0, &f->note), OK);
    buffer_finish(&text);
}

/* Asks for a cosignature. OK means that it is one, on this checkpoint; else there is no line. */
static enum err cosign(struct fixture *f, const struct branch *b, uint64_t size)
{
    struct tlog_reader reader = reader_of(b);
    struct tlog_trust trust = {.origin = ORIGIN,
                               .logs = &f->log.verifier,
                               .log_count = 1,
                               .witnesses = &f->trusted,
                               .witness_count = 1,
                               .quorum = 1};
    struct tlog_checkpoint checkpoint;
    note_make(f, b, size);
    buffer_clear(&f->line);
    f->seen = UINT64_MAX;
    f->why.text[0] = '\0';
    enum err e = witness_cosign(f->client, buffer_bytes(&f->note), size, &reader, &f->line,
                                &f->seen, &f->why);
    assert_int_equal(e == OK, f->why.text[0] == '\0');
    assert_int_equal(e == OK, buffer_size(&f->line) > 0);
    assert_int_equal(e == ERR_EXISTS || e == ERR_INVALID, f->seen != UINT64_MAX);
    if (e == OK) {
        assert_int_equal(buffer_append(&f->note, buffer_bytes(&f->line)), OK);
        assert_int_equal(
            tlog_checkpoint_open(buffer_bytes(&f->note), &trust, &checkpoint, NULL, &f->why), OK);
        assert_int_equal(checkpoint.size, size);
    }
    return e;
}

/* ---- the fake ---------------------------------------------------------------------------------
 */

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
    client_to_port(f, "/prefix");
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
    note_make(f, b, size);
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
    assert_int_equal(cosign(f, &honest, 9), OK);
    assert_int_equal(f->asked_old[0], 0);
    assert_int_equal(f->asked_old[1], 7);
    /* And remembered. */
    assert_int_equal(cosign(f, &honest, 9), OK);
    assert_int_equal(f->asked, 3);
    assert_int_equal(f->asked_old[2], 9);
}

static void it_has_seen_more(void **state)
{
    struct fixture *f = *state;
    FAKE(f, SIZE_REPLY("10"), SIZE_REPLY("10"));
    assert_int_equal(cosign(f, &honest, 9), ERR_EXISTS);
    assert_int_equal(f->seen, 10);
    /* Again: what is remembered is not taken for what is. */
    assert_int_equal(cosign(f, &honest, 9), ERR_EXISTS);
    assert_int_equal(f->asked_old[1], 0);
}

static void it_has_seen_another_tree(void **state)
{
    struct fixture *f = *state;
    FAKE(f, SIZE_REPLY("7"), {422, NULL, "no"});
    assert_int_equal(cosign(f, &honest, 9), ERR_INVALID);
    assert_int_equal(f->seen, 7);
    FAKE(f, SIZE_REPLY("9"), SIZE_REPLY("9"));
    assert_int_equal(cosign(f, &honest, 9), ERR_INVALID);
    assert_int_equal(f->seen, 9);
    /* With this, a size is not asked for. */
    FAKE(f, SIZE_REPLY("9"), {409, "text/plain", "another tree"});
    assert_int_equal(cosign(f, &honest, 9), ERR_INVALID);
}

static void lies(void **state)
{
    struct fixture *f = *state;
    static const struct branch fork = {.fork_at = 3, .number = 1};
    /* Of another key by the same name, on another tree, on another size. */
    FAKE(f, {200, NULL, cosigned(f, &f->other, &honest, 9, NOW_S)});
    assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
    FAKE(f, {200, NULL, cosigned(f, &f->self, &fork, 9, NOW_S)});
    assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 8, NOW_S)});
    assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
    /* A signature that was changed. */
    char *changed = strdup(cosigned(f, &f->self, &honest, 9, NOW_S));
    changed[strlen(changed) - 10] = changed[strlen(changed) - 10] == 'A' ? 'B' : 'A';
    FAKE(f, {200, NULL, changed});
    assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
    free(changed);
    /* Of the future. */
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 9, NOW_S + 3600)});
    assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
    assert_non_null(strstr(f->why.text, "3600 s ahead"));
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 9, TLOG_TIME_MAX)});
    assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
    /* A clock that is a little ahead is none. */
    FAKE(f, {200, NULL, cosigned(f, &f->self, &honest, 9, NOW_S + 200)});
    assert_int_equal(cosign(f, &honest, 9), OK);
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
        assert_int_equal(cosign(f, &honest, 9), ERR_DENIED);
        assert_int_equal(f->asked, 1);
    }
    free(large);
    /* Another size each time: it is not asked without end. */
    FAKE(f, SIZE_REPLY("1"), SIZE_REPLY("2"), SIZE_REPLY("3"), SIZE_REPLY("4"), SIZE_REPLY("5"));
    assert_int_equal(cosign(f, &honest, 9), ERR_UNAVAILABLE);
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
        assert_int_equal(cosign(f, &honest, 9), ERR_UNAVAILABLE);
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
    assert_int_equal(client_make(f, url, 200), OK);
    assert_int_equal(cosign(f, &honest, 9), ERR_UNAVAILABLE);
    /* It takes the connection and says nothing. */
    assert_int_equal(listen(fd, 4), 0);
    assert_int_equal(cosign(f, &honest, 9), ERR_UNAVAILABLE);
    (void)close(fd);
}

static void a_tree_that_cannot_be_read(void **state)
{
    struct fixture *f = *state;
    struct tlog_reader broken = {.read = read_nothing};
    FAKE(f, SIZE_REPLY("7"));
    note_make(f, &honest, 9);
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
        assert_int_equal(client_make(f, refused[i], TIMEOUT_MS), ERR_INVALID);
        assert_int_not_equal(f->why.text[0], '\0');
    }
    for (size_t i = 0; i < sizeof(accepted) / sizeof(accepted[0]); i++) {
        assert_int_equal(client_make(f, accepted[i], TIMEOUT_MS), OK);
        witness_destroy(f->client);
        f->client = NULL;
    }
    assert_int_equal(client_make(f, accepted[0], 0), ERR_INVALID);
    f->trusted = f->log.verifier;
    assert_int_equal(client_make(f, accepted[0], TIMEOUT_MS), ERR_INVALID);
    witness_destroy(NULL);
}

/* ---- the real one -----------------------------------------------------------------------------
 */

static void real_start(struct fixture *f)
{
    struct buffer key;
    buffer_init(&key, TLOG_VERIFIER_TEXT_MAX + 1);
    assert_int_equal(tlog_verifier_format(&f->log.verifier, &key), OK);
    assert_int_equal(buffer_append(&key, bytes_of("", 1)), OK);
    const char *logs[] = {(const char *)buffer_bytes(&key).data};
    struct cosigner_options options = {.directory = f->directory,
                                       .name = NAME,
                                       .logs = logs,
                                       .log_count = 1,
                                       .clock = clock_of(f)};
    struct sockaddr_in address = {.sin_family = AF_INET, .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
    struct witness_http_options http = {.address = (const struct sockaddr *)&address,
                                        .clock = clock_system()};
    if (f->directory[0] == '\0') {
        scratch_create(f->directory);
    }
    assert_int_equal(cosigner_create(&options, &f->cosigner, &f->why), OK);
    assert_int_equal(witness_http_start(f->cosigner, &http, &f->http, &f->port, &f->why), OK);
    f->trusted = *cosigner_verifier(f->cosigner);
    client_to_port(f, "");
    buffer_finish(&key);
}

static void real_stop(struct fixture *f)
{
    witness_destroy(f->client);
    witness_http_stop(f->http);
    cosigner_destroy(f->cosigner);
    f->client = NULL;
    f->http = NULL;
    f->cosigner = NULL;
}

static void both_ends(void **state)
{
    struct fixture *f = *state;
    static const struct branch fork = {.fork_at = 10, .number = 1};
    real_start(f);
    for (uint64_t size = 0; size < 40; size += size / 5 + 1) {
        assert_int_equal(cosign(f, &honest, size), OK);
        assert_int_equal(cosign(f, &honest, size), OK);
    }
    assert_int_equal(cosign(f, &honest, 50), OK);
    /* Restored from a backup, and then another history. */
    assert_int_equal(cosign(f, &honest, 49), ERR_EXISTS);
    assert_int_equal(f->seen, 50);
    assert_int_equal(cosign(f, &fork, 50), ERR_INVALID);
    assert_int_equal(cosign(f, &fork, 51), ERR_INVALID);
    assert_int_equal(f->seen, 50);
    /* Both begin anew. */
    real_stop(f);
    real_start(f);
    assert_int_equal(cosign(f, &fork, 51), ERR_INVALID);
    assert_int_equal(cosign(f, &honest, 60), OK);
    /* Another log's key. */
    struct tlog_signer log = f->log;
    f->log.key = f->other_key;
    assert_int_equal(cosign(f, &honest, 61), ERR_DENIED);
    f->log = log;
    /* The clock of the witness is ahead: its client's is not. */
    assert_int_equal(cosign(f, &honest, 61), OK);
}

/* A repeatable sequence (Numerical Recipes). */
static uint32_t chance(uint32_t *state, uint32_t below)
{
    *state = *state * 1664525U + 1013904223U;
    return (*state >> 8) % below;
}

/* Whatever a log does: what it gets is cosignatures of one history, and each mistake has its
 * error. */
static void random_growth_and_forks(void **state)
{
    struct fixture *f = *state;
    struct branch history = honest;
    uint64_t seen = 0;
    uint32_t dice = 20261121;
    real_start(f);
    for (uint32_t i = 1; i <= 300; i++) {
        uint64_t size = seen + chance(&dice, 12);
        size -= chance(&dice, 4) < size ? chance(&dice, 4) % (size + 1) : 0;
        struct branch b = history;
        if (chance(&dice, 3) == 0) {
            b = (struct branch){.fork_at = chance(&dice, (uint32_t)seen + 10), .number = i};
        }
        /* Which of its leaves are those that were seen: a branch of a branch is another one. */
        bool is_same = b.number == history.number && b.fork_at == history.fork_at;
        uint64_t common = is_same                       ? UINT64_MAX
                          : b.fork_at < history.fork_at ? b.fork_at
                                                        : history.fork_at;
        bool extends = seen <= common;
        enum err expected = size < seen ? ERR_EXISTS : extends ? OK : ERR_INVALID;
        assert_int_equal(cosign(f, &b, size), expected);
        if (expected == OK) {
            seen = size;
            history = b;
        } else {
            assert_int_equal(f->seen, seen);
        }
        if (chance(&dice, 20) == 0) {
            real_stop(f);
            real_start(f);
        }
    }
    assert_true(seen > 50);
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test_setup_teardown(the_size_that_it_saw_is_asked_for, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_has_seen_more, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_has_seen_another_tree, set_up, tear_down),
        cmocka_unit_test_setup_teardown(lies, set_up, tear_down),
        cmocka_unit_test_setup_teardown(answers_without_sense, set_up, tear_down),
        cmocka_unit_test_setup_teardown(it_cannot_now, set_up, tear_down),
        cmocka_unit_test_setup_teardown(nobody_answers, set_up, tear_down),
        cmocka_unit_test_setup_teardown(a_tree_that_cannot_be_read, set_up, tear_down),
        cmocka_unit_test_setup_teardown(who_may_be_asked, set_up, tear_down),
        cmocka_unit_test_setup_teardown(both_ends, set_up, tear_down),
        cmocka_unit_test_setup_teardown(random_growth_and_forks, set_up, tear_down),
    };
    (void)curl_global_init(CURL_GLOBAL_DEFAULT);
    int failed = cmocka_run_group_tests(tests, NULL, NULL);
    curl_global_cleanup();
    return failed;
}
