#include "base/rpc/rpc_tls.h"

#include <grpc/grpc_security.h>
#include <stdlib.h>

#include "base/rpc/client.h"

/* gRPC takes NUL-terminated PEM. */
struct pem {
    char *ca, *certificate, *key;
};

static void finish_pem(struct pem *pem)
{
    free(pem->ca);
    free(pem->certificate);
    if (pem->key != NULL)
        bytes_wipe(pem->key, strlen(pem->key));
    free(pem->key);
}

/* NULL for no bytes. */
static bool copy(struct bytes from, char **out)
{
    if (from.size == 0)
        return true;
    *out = bytes_to_string(from);
    return *out != NULL;
}

static enum err copy_pem(struct bytes ca, struct bytes certificate, struct bytes key,
                         struct pem *out)
{
    if ((certificate.size == 0) != (key.size == 0))
        return ERR_INVALID;
    if (copy(ca, &out->ca) && copy(certificate, &out->certificate) && copy(key, &out->key))
        return OK;
    return ERR_NO_MEMORY;
}

/* Credentials may be made before the first runtime. */
static struct rpc_credentials *create(void)
{
    rpc_runtime_init_grpc();
    return calloc(1, sizeof(struct rpc_credentials));
}

void rpc_credentials_destroy(struct rpc_credentials *credentials)
{
    if (credentials == NULL)
        return;
    if (credentials->client != NULL)
        grpc_channel_credentials_release(credentials->client);
    if (credentials->server != NULL)
        grpc_server_credentials_release(credentials->server);
    free(credentials);
}

enum err rpc_credentials_client(struct bytes ca_pem, struct bytes certificate_pem,
                                struct bytes key_pem, struct rpc_credentials **out)
{
    struct pem pem = {.ca = NULL};
    struct rpc_credentials *credentials = NULL;
    enum err e = copy_pem(ca_pem, certificate_pem, key_pem, &pem);
    if (e != OK)
        goto out;
    credentials = create();
    if (credentials == NULL) {
        e = ERR_NO_MEMORY;
        goto out;
    }
    grpc_ssl_pem_key_cert_pair pair = {.private_key = pem.key, .cert_chain = pem.certificate};
    credentials->client =
        grpc_ssl_credentials_create_ex(pem.ca, pem.key == NULL ? NULL : &pair, NULL, NULL);
    if (credentials->client == NULL)
        e = ERR_INVALID;
out:
    finish_pem(&pem);
    if (e == OK)
        *out = credentials;
    else
        rpc_credentials_destroy(credentials);
    return e;
}

enum err rpc_credentials_server(struct bytes certificate_pem, struct bytes key_pem,
                                struct bytes client_ca_pem, struct rpc_credentials **out)
{
    struct pem pem = {.ca = NULL};
    struct rpc_credentials *credentials = NULL;
    enum err e = certificate_pem.size == 0
                     ? ERR_INVALID
                     : copy_pem(client_ca_pem, certificate_pem, key_pem, &pem);
    if (e != OK)
        goto out;
    credentials = create();
    if (credentials == NULL) {
        e = ERR_NO_MEMORY;
        goto out;
    }
    grpc_ssl_pem_key_cert_pair pair = {.private_key = pem.key, .cert_chain = pem.certificate};
    grpc_ssl_client_certificate_request_type ask =
        pem.ca == NULL ? GRPC_SSL_DONT_REQUEST_CLIENT_CERTIFICATE
                       : GRPC_SSL_REQUEST_CLIENT_CERTIFICATE_AND_VERIFY;
    credentials->server = grpc_ssl_server_credentials_create_ex(pem.ca, &pair, 1, ask, NULL);
    if (credentials->server == NULL)
        e = ERR_INVALID;
out:
    finish_pem(&pem);
    if (e == OK)
        *out = credentials;
    else
        rpc_credentials_destroy(credentials);
    return e;
}
