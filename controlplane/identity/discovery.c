#include "controlplane/identity/discovery.h"

#include <stdio.h>
#include <stdlib.h>

#include "controlplane/identity/strict_json.h"
#include "controlplane/identity/url.h"

char *discovery_url(const char *issuer)
{
    size_t size = strlen(issuer);
    if (size > 0 && issuer[size - 1] == '/') {
        size--;
    }
    char *url = NULL;
    return asprintf(&url, "%.*s/.well-known/openid-configuration", (int)size, issuer) < 0 ? NULL
                                                                                          : url;
}

static enum err read_document(const cJSON *root, const char *issuer, char **out_jwks_uri,
                              struct err_text *why)
{
    const char *named = strict_json_string(root, "issuer");
    if (named == NULL || strcmp(named, issuer) != 0) {
        char quoted[STRICT_JSON_QUOTE_SIZE];
        return err_set(why, ERR_INVALID,
                       "the discovery document is of another issuer: %s instead of %s",
                       named == NULL ? "none" : strict_json_quote(named, quoted), issuer);
    }
    const char *jwks_uri = strict_json_string(root, "jwks_uri");
    if (jwks_uri == NULL) {
        return err_set(why, ERR_INVALID, "the discovery document names no key set (jwks_uri)");
    }
    enum err e = url_check(jwks_uri, "the discovery document's jwks_uri", why);
    if (e != OK) {
        return e;
    }
    char *copy = strdup(jwks_uri);
    if (copy == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    *out_jwks_uri = copy;
    return OK;
}

enum err discovery_parse(struct bytes document, const char *issuer, char **out_jwks_uri,
                         struct err_text *why)
{
    if (document.size > DISCOVERY_SIZE_MAX) {
        return err_set(why, ERR_INVALID, "the discovery document is larger than %d bytes",
                       DISCOVERY_SIZE_MAX);
    }
    cJSON *root = NULL;
    enum err e = strict_json_parse(document, "the discovery document", &root, why);
    if (e == OK) {
        e = read_document(root, issuer, out_jwks_uri, why);
    }
    cJSON_Delete(root);
    return e;
}
