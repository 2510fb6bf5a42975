#include "e2e/bench/fleet/fleet.h"

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <pthread.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <time.h>

#include "api/operator.pb-c.h"
#include "api/sidecar.pb-c.h"
#include "base/rpc/rpc_tls.h"

enum { THREADS = 2, CALL_MS = 60000, AWAIT_S = 120, TOKEN_SIZE_MAX = 16384 };

static const int64_t second_ns = 1000000000;

struct member {
    struct fleet *fleet;
    struct rpc_channel *channel;
    struct rpc_stream *stream;
    uint64_t revision; /* guarded by the fleet's mutex: acknowledged last */
};

struct fleet {
    struct fleet_options with;
    struct rpc_runtime *runtime;
    struct rpc_channel *admin;
    char authorization[TOKEN_SIZE_MAX];
    struct member *members;
    pthread_mutex_t mutex;
    pthread_cond_t changed;
    uint64_t awaited;   /* guarded */
    size_t reached;     /* guarded: members that have acknowledged it */
    int64_t reached_ns; /* guarded: when the last of them did */
    size_t open;        /* guarded: streams */
    bool closing;       /* guarded */
};

void fleet_fail(const char *format, ...)
{
    va_list args;
    va_start(args, format);
    (void)vfprintf(stderr, format, args);
    va_end(args);
    (void)fputc('\n', stderr);
    exit(EXIT_FAILURE);
}

int64_t fleet_now_ns(void)
{
    struct timespec t;
    (void)clock_gettime(CLOCK_MONOTONIC, &t);
    return (int64_t)t.tv_sec * second_ns + t.tv_nsec;
}

static void must(enum err e, const char *what)
{
    if (e != OK) {
        fleet_fail("%s: %s", what, err_name(e));
    }
}

/* --- calls -------------------------------------------------------------------------------------
 */

static ProtobufCMessage *call(struct rpc_channel *channel,
                              const ProtobufCServiceDescriptor *service, const char *method,
                              const ProtobufCMessage *request, const char *authorization)
{
    const struct rpc_metadata metadata = {.name = "authorization",
                                          .value = bytes_of_string(authorization)};
    const struct rpc_call_options options = {.deadline_ms = CALL_MS,
                                             .wait_for_ready = true,
                                             .metadata = &metadata,
                                             .metadata_count = authorization == NULL ? 0 : 1};
    ProtobufCMessage *reply = NULL;
    struct rpc_status status;
    if (rpc_call_wait(channel, service, method, request, &options, &reply, &status) != RPC_OK) {
        fleet_fail("%s: %s: %s", method, rpc_code_name(status.code), status.message);
    }
    return reply;
}

ProtobufCMessage *fleet_call(struct fleet *f, const ProtobufCServiceDescriptor *service,
                             const char *method, const ProtobufCMessage *request)
{
    return call(f->admin, service, method, request, f->authorization);
}

static struct rpc_channel *connect_channel(struct fleet *f, struct bytes certificate_pem,
                                           struct bytes key_pem)
{
    struct rpc_credentials *credentials = NULL;
    struct rpc_channel *channel = NULL;
    must(rpc_credentials_client(f->with.ca_pem, certificate_pem, key_pem, &credentials),
         "credentials");
    const struct rpc_channel_options options = {.target = f->with.server,
                                                .credentials = credentials};
    must(rpc_channel_create(f->runtime, &options, &channel), "channel");
    rpc_credentials_destroy(credentials);
    return channel;
}

/* --- enrolment ---------------------------------------------------------------------------------
 */

static ProtobufCBinaryData make_csr(EVP_PKEY *key)
{
    X509_REQ *r = X509_REQ_new();
    unsigned char *der = NULL;
    if (r == NULL || X509_REQ_set_pubkey(r, key) != 1 || X509_REQ_sign(r, key, NULL) <= 0) {
        fleet_fail("a certificate request cannot be made");
    }
    int size = i2d_X509_REQ(r, &der);
    X509_REQ_free(r);
    return (ProtobufCBinaryData){.data = der, .len = (size_t)size};
}

static struct bytes key_pem_of(EVP_PKEY *key, BIO *bio)
{
    char *text = NULL;
    if (PEM_write_bio_PKCS8PrivateKey(bio, key, NULL, NULL, 0, NULL, NULL) != 1) {
        fleet_fail("a key cannot be written");
    }
    long size = BIO_get_mem_data(bio, &text);
    return bytes_of(text, (size_t)size);
}

/* Returns the connection that its new certificate gives it. */
static struct rpc_channel *enrol(struct fleet *f, size_t number)
{
    Chaperone__V1__CreateJoinTokenRequest ask = CHAPERONE__V1__CREATE_JOIN_TOKEN_REQUEST__INIT;
    Chaperone__V1__EnrolRequest request;
    chaperone__v1__enrol_request__init(&request);
    char name[32];
    (void)snprintf(name, sizeof(name), "simulated-%zu", number);
    Chaperone__V1__CreateJoinTokenResponse *token =
        (Chaperone__V1__CreateJoinTokenResponse *)fleet_call(
            f, &chaperone__v1__administration__descriptor, "CreateJoinToken", &ask.base);
    EVP_PKEY *key = EVP_PKEY_Q_keygen(NULL, NULL, "ED25519");
    request.name = name;
    request.csr = make_csr(key);
    request.proof_case = CHAPERONE__V1__ENROL_REQUEST__PROOF_JOIN_TOKEN;
    request.join_token.data = (uint8_t *)token->token;
    request.join_token.len = strlen(token->token);
    Chaperone__V1__EnrolResponse *reply = (Chaperone__V1__EnrolResponse *)call(
        f->admin, &chaperone__v1__enrolment__descriptor, "Enrol", &request.base, NULL);
    BIO *bio = BIO_new(BIO_s_mem());
    struct rpc_channel *channel = connect_channel(
        f, bytes_of(reply->certificate_pem.data, reply->certificate_pem.len), key_pem_of(key, bio));
    BIO_free(bio);
    EVP_PKEY_free(key);
    OPENSSL_free(request.csr.data);
    protobuf_c_message_free_unpacked(&token->base, NULL);
    protobuf_c_message_free_unpacked(&reply->base, NULL);
    return channel;
}

/* --- the streams -------------------------------------------------------------------------------
 */

static void note_acknowledged(struct member *m, uint64_t revision)
{
    struct fleet *f = m->fleet;
    (void)pthread_mutex_lock(&f->mutex);
    if (m->revision < f->awaited && revision >= f->awaited) {
        f->reached++;
        f->reached_ns = fleet_now_ns();
        (void)pthread_cond_broadcast(&f->changed);
    }
    m->revision = revision;
    (void)pthread_mutex_unlock(&f->mutex);
}

static void on_message(void *context, struct rpc_stream *stream, const ProtobufCMessage *message)
{
    struct member *m = context;
    const Chaperone__V1__WatchResponse *r = (const Chaperone__V1__WatchResponse *)message;
    if (r->push_case != CHAPERONE__V1__WATCH_RESPONSE__PUSH_POLICY) {
        return;
    }
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__PolicyAck ack = CHAPERONE__V1__POLICY_ACK__INIT;
    ack.revision = r->policy->revision;
    ack.active = true;
    request.policy = &ack;
    must(rpc_stream_send(stream, &request.base), "an acknowledgement");
    note_acknowledged(m, r->policy->revision);
}

static void on_end(void *context, struct rpc_stream *stream, const struct rpc_status *status)
{
    struct fleet *f = ((struct member *)context)->fleet;
    (void)pthread_mutex_lock(&f->mutex);
    bool closing = f->closing;
    f->open--;
    (void)pthread_cond_broadcast(&f->changed);
    (void)pthread_mutex_unlock(&f->mutex);
    if (!closing) {
        fleet_fail("a stream ended: %s: %s", rpc_code_name(status->code), status->message);
    }
    rpc_stream_release(stream);
}

static void watch(struct member *m)
{
    static const struct rpc_stream_events events = {.on_message = on_message, .on_end = on_end};
    static const struct rpc_call_options options = {.wait_for_ready = true};
    Chaperone__V1__WatchRequest request = CHAPERONE__V1__WATCH_REQUEST__INIT;
    Chaperone__V1__Hello hello = CHAPERONE__V1__HELLO__INIT;
    hello.version = (char *)(uintptr_t) "simulated";
    request.hello = &hello;
    must(rpc_stream_open(m->channel, &chaperone__v1__sidecar__descriptor, "Watch", &options,
                         &events, m, &m->stream),
         "Watch");
    must(rpc_stream_send(m->stream, &request.base), "Hello");
}

int64_t fleet_await(struct fleet *f, uint64_t revision, int64_t since_ns)
{
    struct timespec deadline;
    (void)clock_gettime(CLOCK_REALTIME, &deadline);
    deadline.tv_sec += AWAIT_S;
    (void)pthread_mutex_lock(&f->mutex);
    f->awaited = revision;
    f->reached = 0;
    f->reached_ns = fleet_now_ns(); /* if all have it already */
    for (size_t i = 0; i < f->with.count; i++) {
        f->reached += f->members[i].revision >= revision ? 1 : 0;
    }
    while (f->reached < f->with.count) {
        if (pthread_cond_timedwait(&f->changed, &f->mutex, &deadline) != 0) {
            fleet_fail("%zu of %zu acknowledged in %d s", f->reached, f->with.count, AWAIT_S);
        }
    }
    int64_t took = f->reached_ns - since_ns;
    (void)pthread_mutex_unlock(&f->mutex);
    return took;
}

/* --- the whole ---------------------------------------------------------------------------------
 */

struct fleet *fleet_create(const struct fleet_options *options)
{
    struct fleet *f = calloc(1, sizeof(*f));
    if (f == NULL || (f->members = calloc(options->count, sizeof(*f->members))) == NULL) {
        fleet_fail("out of memory");
    }
    f->with = *options;
    (void)pthread_mutex_init(&f->mutex, NULL);
    (void)pthread_cond_init(&f->changed, NULL);
    int n = snprintf(f->authorization, sizeof(f->authorization), "Bearer %s", options->admin_token);
    if (n < 0 || (size_t)n >= sizeof(f->authorization)) {
        fleet_fail("the token is too long");
    }
    must(rpc_runtime_create(THREADS, NULL, &f->runtime), "runtime");
    f->admin = connect_channel(f, bytes_of(NULL, 0), bytes_of(NULL, 0));
    for (size_t i = 0; i < options->count; i++) {
        f->members[i].fleet = f;
        f->members[i].channel = enrol(f, i);
    }
    f->open = options->count;
    for (size_t i = 0; i < options->count; i++) {
        watch(&f->members[i]);
    }
    return f;
}

void fleet_destroy(struct fleet *f)
{
    (void)pthread_mutex_lock(&f->mutex);
    f->closing = true;
    (void)pthread_mutex_unlock(&f->mutex);
    for (size_t i = 0; i < f->with.count; i++) {
        rpc_stream_cancel(f->members[i].stream);
    }
    (void)pthread_mutex_lock(&f->mutex);
    while (f->open > 0) {
        (void)pthread_cond_wait(&f->changed, &f->mutex);
    }
    (void)pthread_mutex_unlock(&f->mutex);
    for (size_t i = 0; i < f->with.count; i++) {
        rpc_channel_destroy(f->members[i].channel);
    }
    rpc_channel_destroy(f->admin);
    rpc_runtime_destroy(f->runtime);
    (void)pthread_cond_destroy(&f->changed);
    (void)pthread_mutex_destroy(&f->mutex);
    free(f->members);
    free(f);
}
