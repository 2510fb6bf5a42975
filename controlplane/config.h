/* The control plane's configuration: plain values, checked, with every default filled in.
 *
 * docs/controlplane.md documents the file. Paths are absolute or relative to the file's own
 * directory. Secrets are not in here, only where they are: their values are read when a grant needs
 * them.
 *
 * A config does not change after it was loaded. It is shared by reference count: a reload
 * replaces it while calls go on with the one that they began with. */
#ifndef CHAPERONE_CONTROLPLANE_CONFIG_H
#define CHAPERONE_CONTROLPLANE_CONFIG_H

#include "base/bytes.h"
#include "base/conf/conf.h"
#include "base/hardening/security.h"
#include "base/log.h"

struct config_strings {
    const char *const *items; /* never NULL strings */
    size_t count;
};

struct config_identity_provider {
    const char *name;
    const char *issuer;
    struct config_strings audiences;
    /* Paths of claims, as in identity/identity.h; NULL: its default. */
    const char *subject_claim, *groups_claim, *name_claim, *reason_claim;
    struct config_strings algorithms; /* none: identity/identity.h's default */
    int64_t leeway_ns;
    const char *ca_file; /* NULL: the system's roots */
    bool gives_roles;    /* its groups count for `roles` */
};

enum config_role {
    CONFIG_ADMIN = 1 << 0,
    CONFIG_APPROVER = 1 << 1,
    CONFIG_AUDITOR = 1 << 2,
    CONFIG_BOT = 1 << 3, /* sees what is held, and decides for people whose account is linked */
};
enum { CONFIG_ROLES = 4 };

/* By role, in the order of the enum. */
struct config_roles {
    struct config_strings groups[CONFIG_ROLES];
};

enum config_tls_mode {
    CONFIG_TLS_VERIFY_FULL,
    CONFIG_TLS_VERIFY_CA,
    CONFIG_TLS_REQUIRE,
    CONFIG_TLS_PREFER,
    CONFIG_TLS_DISABLE,
};

enum config_secret_source {
    CONFIG_SECRET_NONE,
    CONFIG_SECRET_ENV,   /* `at` is the variable's name */
    CONFIG_SECRET_FILE,  /* `at` is a path */
    CONFIG_SECRET_STORE, /* `at` is a name given to `credential set` */
};

struct config_secret {
    enum config_secret_source source;
    const char *at;
};

/* How a request over HTTP says whose it is. */
enum config_http_auth {
    CONFIG_HTTP_NONE,
    CONFIG_HTTP_BEARER, /* the password is the token */
    CONFIG_HTTP_BASIC,
    CONFIG_HTTP_HEADER, /* the password is the value */
    CONFIG_HTTP_OAUTH2, /* the password is the client's secret */
};

/* RFC 6749 section 4.4. */
struct config_oauth2 {
    const char *token_url; /* https, or http to this machine itself */
    const char *client_id;
    const char *scope, *audience; /* NULL: none is asked for */
    bool secret_in_body;          /* client_secret_post, else client_secret_basic */
    const char *ca_file;          /* NULL: the system's roots */
    int64_t timeout_ns;
};

struct config_credential {
    const char *name; /* of an HTTP resource: the resource's */
    const char *user; /* "" where it has none */
    struct config_secret password;
    struct config_secret certificate, key; /* PEM; both or neither */
    enum config_http_auth http;
    const char *header; /* in lower case, of CONFIG_HTTP_HEADER */
    struct config_oauth2 oauth2;
};

struct config_resource {
    const char *name;
    const char *protocol;
    const char *host; /* a name, an address, or the absolute directory of a unix socket */
    uint16_t port;
    struct config_strings databases; /* without "*" */
    bool any_database;               /* "*" was among them */
    const char *database;            /* the default; NULL where there is none; "" for HTTP */
    enum config_tls_mode tls;
    const char *ca_file;     /* NULL: the system's roots */
    const char *server_name; /* NULL: the host */
    const char *authority;   /* HTTP: "api.internal", "api.internal:8443"; else NULL */
    const struct config_credential *credential;
};

/* Where audit records are sent to, as they arrive or at set times: controlplane/export. */
enum config_export_kind { CONFIG_EXPORT_FILE, CONFIG_EXPORT_SYSLOG, CONFIG_EXPORT_KAFKA };
enum config_export_format { CONFIG_EXPORT_JSON, CONFIG_EXPORT_OCSF };
enum config_compression { CONFIG_COMPRESS_NONE, CONFIG_COMPRESS_GZIP, CONFIG_COMPRESS_ZSTD };

struct config_export_option {
    const char *name;
    const char *value; /* NULL: `secret` */
    struct config_secret secret;
    const struct conf_node *node; /* for errors that are found later */
};

struct config_export {
    const char *name; /* letters, digits, '.', '_', '-': it is part of file names */
    enum config_export_kind kind;
    enum config_export_format format;
    bool rows;           /* JSON: also the recorded rows */
    bool from_beginning; /* else from when the job first ran */
    struct {
        const char *resource, *identity; /* NULL: any */
        struct config_strings kinds;     /* known words; none: any */
        int verdict;                     /* as api/audit.proto; 0: any */
    } filter;
    struct {
        /* Both 0: as they arrive. */
        int64_t every_ns; /* at multiples of it since 1970 */
        int64_t daily_ns; /* after midnight UTC, with every_ns a day */
    } schedule;
    struct {
        const char *directory;
        enum config_compression compress;
        uint64_t rotate_size; /* bytes, as they are in the file */
        int64_t rotate_every_ns;
    } file;
    struct {
        const char *host;
        uint16_t port;
        bool tls;
        const char *ca_file;                   /* NULL: the system's roots */
        const char *server_name;               /* NULL: the host */
        struct config_secret certificate, key; /* PEM; both or neither */
        int facility;
        const char *hostname; /* NULL: this machine's */
        uint64_t message_max; /* bytes of one whole message */
        int64_t timeout_ns;   /* of connecting, and of a receiver that takes nothing */
    } syslog;
    struct {
        struct config_strings brokers;
        const char *topic;
        const struct config_export_option *options;
        size_t option_count;
        const struct conf_node *node;
    } kafka;
};

/* Whom something is for: any of the subjects or of the groups (globs), and in any case only of the
 * providers that are named, where any are. */
struct config_whom {
    struct config_strings subjects, groups, providers;
};

struct config_grant {
    const char *name;
    struct config_strings resources; /* globs */
    struct config_whom whom;
};

/* Of sessions on these resources the content is erased so long after they ended: the first one that
 * matches says it. Where none does, it is kept. */
struct config_retention {
    const char *resource; /* glob, as in grants */
    int64_t keep_ns;
};

/* Who cosigns the audit log's checkpoints (C2SP tlog-witness). */
struct config_witness {
    const char *url;
    const char *key;     /* its verifier key, as text */
    const char *ca_file; /* NULL: the system's roots */
};

/* What everything is kept in. */
enum config_store_kind { CONFIG_STORE_SQLITE, CONFIG_STORE_POSTGRES };

/* By default: against a thread as usual, one that takes records in gets a quarter of a processor.
 */
enum { CONFIG_INGEST_NICENESS = 5 };

/* Where large records are kept. */
enum config_blobs_kind { CONFIG_BLOBS_NONE, CONFIG_BLOBS_DIRECTORY, CONFIG_BLOBS_S3 };

struct config_blobs {
    enum config_blobs_kind kind;
    uint64_t threshold; /* bytes */
    const char *directory;
    /* Of S3; controlplane/blobs/s3.h. */
    const char *endpoint, *bucket, *region;
    const char *prefix, *ca_file; /* may be NULL */
    bool is_virtual_host;
    int64_t timeout_ns;
    struct config_secret key_id, secret_key; /* not from the store */
};

struct config_store {
    enum config_store_kind kind;
    struct config_blobs blobs;
    const char *url;                 /* of PostgreSQL; NULL: `url_secret` */
    struct config_secret url_secret; /* not from the store */
    int connections;                 /* 0: the default */
    int ingest_niceness;             /* of the threads that take records in; 0: as the others */
};

struct config {
    const char *file;
    struct {
        const char *host;
        uint16_t port; /* 0: any free one */
    } listen;
    const char *data; /* directory */
    struct config_store store;
    struct config_strings hostnames;
    struct {
        enum log_level level;
        enum log_format format;
    } log;
    struct security security;
    struct {
        const char *certificate, *key; /* both NULL: the default */
    } ca, tls;
    const char *tls_ca; /* what `tls.certificate` is checked with; NULL: the CA */
    struct {
        const struct config_identity_provider *items;
        size_t count;
    } identity_providers;
    struct config_roles roles;
    struct {
        const struct config_credential *items;
        size_t count;
    } credentials;
    struct {
        const struct config_resource *items;
        size_t count;
    } resources;
    struct {
        const struct config_grant *items;
        size_t count;
    } grants;
    const char *policy_file; /* NULL: everything is allowed and recorded */
    struct {
        int64_t certificate_lifetime_ns;
        bool join_tokens;
        struct config_whom oidc; /* nobody where it names nobody */
    } enrolment;
    struct {
        int64_t kill_timeout_ns;
    } session;
    struct {
        int64_t silent_after_ns; /* without a heartbeat, with work under way */
        int64_t lost_after_ns;   /* then its sessions are taken for lost */
    } watch;
    struct {
        const char *origin; /* NULL: made of the first hostname */
        int64_t interval_ns, key_overlap_ns;
        struct {
            const struct config_witness *items;
            size_t count;
        } witnesses;
        size_t quorum; /* of them, before a checkpoint is published */
    } audit_log;
    struct {
        const struct config_retention *items;
        size_t count;
    } retention;
    struct {
        const struct config_export *items;
        size_t count;
    } exports;
    struct {
        const char *host; /* NULL: none */
        uint16_t port;    /* 0: any free one */
    } metrics;
};

/* Returns owned, with one reference. Errors as in base/conf/conf.h: they name the line. */
enum err config_load(const char *path, struct config **out, struct err_text *why) MUST_USE;
/* `path` stands for the file in errors and for relative paths. */
enum err config_load_text(const char *path, struct bytes text, struct config **out,
                          struct err_text *why) MUST_USE;
struct config *config_retain(struct config *config) MUST_USE;
void config_release(struct config *config); /* takes NULL */

/* The document that it was read from, for what keeps it as it was written. */
const struct conf_node *config_document(const struct config *config);

/* NULL: none has that name. */
const struct config_resource *config_find_resource(const struct config *config, const char *name);
const struct config_identity_provider *config_find_provider(const struct config *config,
                                                            const char *issuer);

#endif
