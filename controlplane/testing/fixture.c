#include "controlplane/testing/fixture.h"

#include <fcntl.h>
#include <openssl/pem.h>
#include <stdio.h>
#include <stdlib.h>
#include <unistd.h>

#include "base/file.h"
#include "base/rpc/rpc_tls.h"
#include "base/testing/scratch.h"
#include "controlplane/files/files.h"
#include "controlplane/identity/fetch_curl.h"

static const char config_format[] =
    "listen: 127.0.0.1:0\n"
    "data: state\n"
    "identity_providers:\n"
    "  - {name: dev, issuer: '%s', audience: chaperone, leeway: %s}\n"
    "roles: {admin: [admins], approver: [approvers], auditor: [auditors], bot: [bots]}\n"
    "credentials:\n"
    "  - {name: orders, user: app, password: {file: password}}\n"
    "  - {name: broken, user: app, password: {env: FIXTURE_NOT_SET}}\n"
    "resources:\n"
    "  - {name: orders, protocol: postgres, address: 'db.example:5432', databases: [shop, stock],"
    " credential: orders}\n"
    "  - {name: broken, protocol: postgres, address: 'db.example:5432', databases: [shop],"
    " credential: broken}\n"
    "%s"
    "grants:\n"
    "  - {name: bots, resources: ['*'], groups: [%s]}\n"
    "enrolment: {oidc: {groups: [nodes]}}\n"
    "%s";

static void write_file(struct fixture *f, const char *name, const char *text)
{
    char *path = files_join(f->directory, name);
    assert_int_equal(file_replace(path, 0600, bytes_of_string(text), NULL), OK);
    free(path);
}

void fixture_write_config(struct fixture *f, const struct fixture_config *config)
{
    char text[4096];
    (void)snprintf(text, sizeof(text), config_format, issuer_url(f->issuer),
                   config->leeway == NULL ? "0s" : config->leeway,
                   config->resources == NULL ? "" : config->resources,
                   config->agents == NULL ? "agents" : config->agents,
                   config->extra == NULL ? "" : config->extra);
    write_file(f, "cp.yaml", text);
}

static void start_issuer(struct fixture *f)
{
    const struct issuer_options options = {.directory = f->directory, .clock = clock_system()};
    struct err_text why = {0};
    assert_int_equal(issuer_create(&options, &f->issuer, &why), OK);
    if (issuer_start(f->issuer, &why) != OK) {
        fail_msg("%s", why.text);
    }
}

static int64_t shifted_wall(void *context)
{
    const struct clock system = clock_system();
    return clock_wall(&system) + ((struct fixture *)context)->clock_shift;
}

static int64_t monotonic(void *context)
{
    (void)context;
    const struct clock system = clock_system();
    return clock_monotonic(&system);
}

void fixture_set_clock(struct fixture *f, int64_t shift_ns)
{
    f->clock_shift = shift_ns;
}

static void start_server(struct fixture *f)
{
    char *path = files_join(f->directory, "cp.yaml");
    struct config *config = NULL;
    struct err_text why = {0};
    if (config_load(path, &config, &why) != OK) {
        fail_msg("%s", why.text);
    }
    const struct server_options options = {
        .config = config,
        .clock = {.wall_ns = shifted_wall, .monotonic_ns = monotonic, .context = f},
        .fetcher = identity_fetcher_curl(),
        .log = &f->log,
        .version = "test"};
    if (server_start(&options, &f->server, &why) != OK) {
        fail_msg("%s", why.text);
    }
    free(path);
}

int fixture_setup(void **state)
{
    struct fixture *f = calloc(1, sizeof(*f));
    scratch_create(f->directory);
    char *log = files_join(f->directory, "log");
    int fd = open(log, O_RDWR | O_CREAT | O_APPEND | O_CLOEXEC, 0600);
    free(log);
    assert_true(fd >= 0);
    f->log = (struct log){.fd = fd, .level = LOG_DEBUG, .clock = clock_system()};
    start_issuer(f);
    write_file(f, "password", FIXTURE_PASSWORD "\n");
    fixture_write_config(f, &(struct fixture_config){.extra = ""});
    start_server(f);
    assert_int_equal(rpc_runtime_create(2, NULL, &f->runtime), OK);
    f->channel = fixture_channel(f, bytes_of(NULL, 0), NULL);
    *state = f;
    return 0;
}

void fixture_restart(struct fixture *f)
{
    rpc_channel_destroy(f->channel);
    server_stop(f->server, 1000);
    start_server(f);
    f->channel = fixture_channel(f, bytes_of(NULL, 0), NULL);
}

char *fixture_read_log(struct fixture *f)
{
    struct buffer b;
    buffer_init(&b, 16 << 20);
    char *path = files_join(f->directory, "log");
    assert_int_equal(files_read(path, &b, NULL), OK);
    char *text = bytes_to_string(buffer_bytes(&b));
    buffer_finish(&b);
    free(path);
    return text;
}

int fixture_teardown(void **state)
{
    struct fixture *f = *state;
    rpc_channel_destroy(f->channel);
    rpc_runtime_destroy(f->runtime);
    server_stop(f->server, 1000);
    char *log = fixture_read_log(f);
    assert_null(strstr(log, FIXTURE_PASSWORD));
    assert_null(strstr(log, "chaperone-join-"));
    assert_null(strstr(log, "eyJ")); /* how every JWT begins */
    free(log);
    issuer_stop(f->issuer);
    issuer_destroy(f->issuer);
    (void)close(f->log.fd);
    scratch_remove(f->directory);
    free(f);
    return 0;
}

char *fixture_special_token(struct fixture *f, const struct issuer_token *token)
{
    char *text = NULL;
    struct err_text why = {0};
    if (issuer_mint(f->issuer, token, &text, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return text;
}

char *fixture_token(struct fixture *f, const char *subject, const char *group)
{
    const struct issuer_token token = {
        .subject = subject, .groups = &group, .group_count = group == NULL ? 0 : 1};
    return fixture_special_token(f, &token);
}

/* --- calls ----------------------------------------------------------------------------------- */

struct rpc_channel *fixture_channel(struct fixture *f, struct bytes certificate_pem, EVP_PKEY *key)
{
    struct rpc_credentials *credentials = NULL;
    struct rpc_channel *channel = NULL;
    struct buffer ca;
    char *key_text = NULL;
    long key_size = 0;
    BIO *bio = BIO_new(BIO_s_mem());
    char *path = files_join(f->directory, "state/ca/ca.pem");
    buffer_init(&ca, FILES_READ_CAP);
    assert_int_equal(files_read(path, &ca, NULL), OK);
    if (key != NULL) {
        assert_int_equal(PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL), 1);
        key_size = BIO_get_mem_data(bio, &key_text);
    }
    assert_int_equal(rpc_credentials_client(buffer_bytes(&ca), certificate_pem,
                                            bytes_of(key_text, (size_t)key_size), &credentials),
                     OK);
    char target[64];
    (void)snprintf(target, sizeof(target), "127.0.0.1:%d", server_port(f->server));
    const struct rpc_channel_options options = {.target = target, .credentials = credentials};
    assert_int_equal(rpc_channel_create(f->runtime, &options, &channel), OK);
    rpc_credentials_destroy(credentials);
    buffer_finish(&ca);
    BIO_free(bio);
    free(path);
    return channel;
}

/* "Bearer TOKEN" into `out`; the options use it. */
static struct rpc_call_options options_of(const char *token, char *value, size_t size,
                                          struct rpc_metadata *metadata)
{
    struct rpc_call_options options = {.wait_for_ready = true};
    if (token != NULL) {
        (void)snprintf(value, size, "Bearer %s", token);
        *metadata = (struct rpc_metadata){.name = "authorization", .value = bytes_of_string(value)};
        options.metadata = metadata;
        options.metadata_count = 1;
    }
    return options;
}

struct answer fixture_call(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                           const char *method, const ProtobufCMessage *request, const char *token,
                           int deadline_ms)
{
    char value[8192];
    struct rpc_metadata metadata;
    struct rpc_call_options options = options_of(token, value, sizeof(value), &metadata);
    struct answer answer = {.reply = NULL};
    options.deadline_ms = deadline_ms == 0 ? 60000 : deadline_ms;
    (void)rpc_call_wait(channel, service, method, request, &options, &answer.reply, &answer.status);
    return answer;
}

void answer_finish(struct answer *answer)
{
    if (answer->reply != NULL) {
        protobuf_c_message_free_unpacked(answer->reply, NULL);
    }
    answer->reply = NULL;
}

void assert_answer(struct answer answer, enum rpc_code code, const char *words)
{
    if (answer.status.code != code || strstr(answer.status.message, words) == NULL) {
        fail_msg("expected %s with \"%s\", got %s \"%s\"", rpc_code_name(code), words,
                 rpc_code_name(answer.status.code), answer.status.message);
    }
    answer_finish(&answer);
}

/* --- sidecars -------------------------------------------------------------------------------- */

EVP_PKEY *make_key(const char *type)
{
    return strcmp(type, "ED25519") == 0 ? EVP_PKEY_Q_keygen(NULL, NULL, type) : EVP_EC_gen(type);
}

ProtobufCBinaryData make_csr(EVP_PKEY *key)
{
    X509_REQ *r = X509_REQ_new();
    unsigned char *der = NULL;
    assert_int_equal(X509_REQ_set_pubkey(r, key), 1);
    assert_true(X509_REQ_sign(r, key, EVP_PKEY_is_a(key, "ED25519") ? NULL : EVP_sha256()) > 0);
    int size = i2d_X509_REQ(r, &der);
    X509_REQ_free(r);
    return (ProtobufCBinaryData){.data = der, .len = (size_t)size};
}

char *fixture_join_token(struct fixture *f)
{
    Chaperone__V1__CreateJoinTokenRequest request = CHAPERONE__V1__CREATE_JOIN_TOKEN_REQUEST__INIT;
    char *admin = fixture_token(f, "root", "admins");
    struct answer a = fixture_call(f->channel, &chaperone__v1__administration__descriptor,
                                   "CreateJoinToken", &request.base, admin, 0);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    char *token = strdup(((Chaperone__V1__CreateJoinTokenResponse *)a.reply)->token);
    answer_finish(&a);
    free(admin);
    return token;
}

struct answer fixture_enrol(struct fixture *f, EVP_PKEY *key, const char *join_token,
                            const char *oidc_token, const char *keep_id)
{
    Chaperone__V1__EnrolRequest request;
    chaperone__v1__enrol_request__init(&request);
    const char *proof = join_token != NULL ? join_token : oidc_token;
    ProtobufCBinaryData bytes = {.data = (uint8_t *)(uintptr_t)proof,
                                 .len = proof == NULL ? 0 : strlen(proof)};
    request.csr = make_csr(key);
    request.name = (char *)(uintptr_t) "node-1";
    request.sidecar = (char *)(uintptr_t)(keep_id == NULL ? "" : keep_id);
    if (join_token != NULL) {
        request.proof_case = CHAPERONE__V1__ENROL_REQUEST__PROOF_JOIN_TOKEN;
        request.join_token = bytes;
    } else if (oidc_token != NULL) {
        request.proof_case = CHAPERONE__V1__ENROL_REQUEST__PROOF_OIDC_TOKEN;
        request.oidc_token = bytes;
    }
    struct answer a = fixture_call(f->channel, &chaperone__v1__enrolment__descriptor, "Enrol",
                                   &request.base, NULL, 0);
    OPENSSL_free(request.csr.data);
    return a;
}

struct sidecar fixture_sidecar(struct fixture *f)
{
    struct sidecar s = {.key = make_key("ED25519")};
    char *token = fixture_join_token(f);
    struct answer a = fixture_enrol(f, s.key, token, NULL, NULL);
    if (a.status.code != RPC_OK) {
        fail_msg("%s", a.status.message);
    }
    const Chaperone__V1__EnrolResponse *response = (const Chaperone__V1__EnrolResponse *)a.reply;
    s.id = strdup(response->sidecar);
    buffer_init(&s.certificate_pem, FILES_READ_CAP);
    assert_int_equal(buffer_append(&s.certificate_pem, bytes_of(response->certificate_pem.data,
                                                                response->certificate_pem.len)),
                     OK);
    s.channel = fixture_channel(f, buffer_bytes(&s.certificate_pem), s.key);
    answer_finish(&a);
    free(token);
    return s;
}

void sidecar_finish(struct sidecar *s)
{
    rpc_channel_destroy(s->channel);
    buffer_finish(&s->certificate_pem);
    EVP_PKEY_free(s->key);
    free(s->id);
}

/* --- streams --------------------------------------------------------------------------------- */

enum { MESSAGES_MAX = 4096, AWAIT_S = 60 };

struct listening {
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    struct rpc_stream *stream;
    ProtobufCMessage *messages[MESSAGES_MAX];
    size_t count;
    bool ended;
    struct rpc_status status;
};

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    (void)stream;
    struct listening *l = context;
    (void)pthread_mutex_lock(&l->mutex);
    if (l->count < MESSAGES_MAX) {
        l->messages[l->count++] = rpc_reply_copy(message);
    }
    (void)pthread_cond_broadcast(&l->changed);
    (void)pthread_mutex_unlock(&l->mutex);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    (void)stream;
    struct listening *l = context;
    (void)pthread_mutex_lock(&l->mutex);
    l->status = *status;
    l->ended = true;
    (void)pthread_cond_broadcast(&l->changed);
    (void)pthread_mutex_unlock(&l->mutex);
}

struct listening *listen_to(struct rpc_channel *channel, const ProtobufCServiceDescriptor *service,
                            const char *method, const char *token)
{
    static const struct rpc_stream_events events = {.on_message = on_message, .on_end = on_end};
    struct listening *l = calloc(1, sizeof(*l));
    char value[8192];
    struct rpc_metadata metadata;
    struct rpc_call_options options = options_of(token, value, sizeof(value), &metadata);
    (void)pthread_mutex_init(&l->mutex, NULL);
    (void)pthread_cond_init(&l->changed, NULL);
    assert_int_equal(rpc_stream_open(channel, service, method, &options, &events, l, &l->stream),
                     OK);
    return l;
}

void listening_send(struct listening *l, const ProtobufCMessage *message)
{
    assert_int_equal(rpc_stream_send(l->stream, message), OK);
}

void listening_half_close(struct listening *l)
{
    rpc_stream_half_close(l->stream);
}

/* With the mutex held; false when nothing happened for too long. */
static bool await_change(struct listening *l)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_REALTIME, &t);
    t.tv_sec += AWAIT_S;
    return pthread_cond_timedwait(&l->changed, &l->mutex, &t) == 0;
}

const ProtobufCMessage *listening_await(struct listening *l, size_t n)
{
    (void)pthread_mutex_lock(&l->mutex);
    while (l->count <= n && !l->ended && await_change(l)) {
    }
    const ProtobufCMessage *m = l->count > n ? l->messages[n] : NULL;
    (void)pthread_mutex_unlock(&l->mutex);
    if (m == NULL) {
        fail_msg("message %zu did not come: %s", n, l->status.message);
    }
    return m;
}

struct rpc_status listening_end(struct listening *l)
{
    (void)pthread_mutex_lock(&l->mutex);
    while (!l->ended && await_change(l)) {
    }
    bool ended = l->ended;
    (void)pthread_mutex_unlock(&l->mutex);
    assert_true(ended);
    return l->status;
}

size_t listening_count(struct listening *l)
{
    (void)pthread_mutex_lock(&l->mutex);
    size_t count = l->count;
    (void)pthread_mutex_unlock(&l->mutex);
    return count;
}

void listening_finish(struct listening *l)
{
    rpc_stream_cancel(l->stream);
    (void)listening_end(l);
    rpc_stream_release(l->stream);
    for (size_t i = 0; i < l->count; i++) {
        protobuf_c_message_free_unpacked(l->messages[i], NULL);
    }
    (void)pthread_cond_destroy(&l->changed);
    (void)pthread_mutex_destroy(&l->mutex);
    free(l);
}
