#include "controlplane/credentials/oauth2_request.h"

#include <curl/curl.h>

#include "controlplane/identity/url.h"

enum {
    /* Percent-encoding makes three bytes of one; what a client's names and its secret have at most
     * (VAULT_SECRET_CAP) does not come near it. */
    FORM_CAP = 256 << 10,
    /* A connection that is not there in half of the time will not give its answer in the rest. */
    CONNECT_SHARE = 2,
};

struct exchange {
    CURL *curl;
    struct buffer form, user, password; /* what curl borrows */
    struct buffer body;
    struct curl_slist *headers;
    bool too_large;
    char error[CURL_ERROR_SIZE];
};

static size_t write_body(char *data, size_t size, size_t count, void *context)
{
    struct exchange *x = context;
    if (buffer_append(&x->body, bytes_of(data, size * count)) != OK) {
        x->too_large = true;
        return 0; /* ends the transfer */
    }
    return size * count;
}

/* application/x-www-form-urlencoded; a space as %20 is read alike. */
static bool append_encoded(CURL *curl, struct buffer *out, struct bytes value)
{
    if (value.size == 0) {
        return true; /* to libcurl, a size of 0 means strlen */
    }
    char *encoded = curl_easy_escape(curl, (const char *)value.data, (int)value.size);
    bool appended = encoded != NULL && buffer_append_string(out, encoded) == OK;
    if (encoded != NULL) {
        bytes_wipe(encoded, strlen(encoded));
    }
    curl_free(encoded);
    return appended;
}

static bool append_field(struct exchange *x, const char *name, struct bytes value)
{
    return buffer_append_format(&x->form, "&%s=", name) == OK &&
           append_encoded(x->curl, &x->form, value);
}

static bool append_text(struct exchange *x, const char *name, const char *value)
{
    return value == NULL || append_field(x, name, bytes_of_string(value));
}

static bool make_form(struct exchange *x, const struct config_oauth2 *client, struct bytes secret)
{
    bool made = buffer_append_string(&x->form, "grant_type=client_credentials") == OK &&
                append_text(x, "scope", client->scope) &&
                append_text(x, "audience", client->audience);
    if (made && client->secret_in_body) {
        made = append_text(x, "client_id", client->client_id) &&
               append_field(x, "client_secret", secret);
    } else if (made) {
        /* RFC 6749 section 2.3.1: encoded before they are a user and a password. */
        made = append_encoded(x->curl, &x->user, bytes_of_string(client->client_id)) &&
               append_encoded(x->curl, &x->password, secret) &&
               buffer_append(&x->user, bytes_of("", 1)) == OK &&
               buffer_append(&x->password, bytes_of("", 1)) == OK;
    }
    return made;
}

static bool set_credential(struct exchange *x, const struct config_oauth2 *client)
{
    return client->secret_in_body ||
           (curl_easy_setopt(x->curl, CURLOPT_HTTPAUTH, (long)CURLAUTH_BASIC) == CURLE_OK &&
            curl_easy_setopt(x->curl, CURLOPT_USERNAME, buffer_bytes(&x->user).data) == CURLE_OK &&
            curl_easy_setopt(x->curl, CURLOPT_PASSWORD, buffer_bytes(&x->password).data) ==
                CURLE_OK);
}

static bool set_options(struct exchange *x, const struct config_oauth2 *client)
{
    CURL *c = x->curl;
    bool plain = url_is_plain(client->token_url);
    long timeout = (long)(client->timeout_ns / 1000000);
    struct bytes form = buffer_bytes(&x->form);
    x->headers = curl_slist_append(NULL, "Accept: application/json");
    bool ok =
        x->headers != NULL && curl_easy_setopt(c, CURLOPT_HTTPHEADER, x->headers) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_URL, client->token_url) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_PROTOCOLS_STR, plain ? "http" : "https") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_POSTFIELDSIZE, (long)form.size) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_POSTFIELDS, form.data) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_FOLLOWLOCATION, 0L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_SSLVERSION, (long)CURL_SSLVERSION_TLSv1_2) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_TIMEOUT_MS, timeout) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_CONNECTTIMEOUT_MS, timeout / CONNECT_SHARE + 1) == CURLE_OK &&
        /* Timeouts without signals: there are other threads. */
        curl_easy_setopt(c, CURLOPT_NOSIGNAL, 1L) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_ERRORBUFFER, x->error) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_USERAGENT, "chaperone-controlplane") == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEFUNCTION, write_body) == CURLE_OK &&
        curl_easy_setopt(c, CURLOPT_WRITEDATA, x) == CURLE_OK && set_credential(x, client);
    if (ok && plain) {
        /* A proxy of the environment must not see what is meant for this machine. */
        ok = curl_easy_setopt(c, CURLOPT_PROXY, "") == CURLE_OK;
    }
    if (ok && client->ca_file != NULL) {
        ok = curl_easy_setopt(c, CURLOPT_CAINFO, client->ca_file) == CURLE_OK;
    }
    return ok;
}

static enum err perform(struct exchange *x, struct oauth2_token *out, struct err_text *why)
{
    long status = 0;
    CURLcode code = curl_easy_perform(x->curl);
    if (x->too_large) {
        return err_set(why, ERR_LIMIT, "the answer is larger than %d bytes", OAUTH2_ANSWER_CAP);
    }
    if (code == CURLE_OPERATION_TIMEDOUT) {
        return err_set(why, ERR_TIMEOUT, "no answer in time");
    }
    if (code != CURLE_OK) {
        return err_set(why, ERR_UNAVAILABLE, "%s",
                       x->error[0] == '\0' ? curl_easy_strerror(code) : x->error);
    }
    (void)curl_easy_getinfo(x->curl, CURLINFO_RESPONSE_CODE, &status);
    return oauth2_read_answer(status, buffer_bytes(&x->body), out, why);
}

/* All of its memory from the start: growing would leave copies of secrets behind. */
static bool reserve(struct buffer *b, size_t cap)
{
    buffer_init(b, cap);
    return buffer_reserve(b, cap) != NULL;
}

enum err oauth2_request_token(const struct config_oauth2 *client, struct bytes secret,
                              struct oauth2_token *out, struct err_text *why)
{
    struct exchange x = {.curl = curl_easy_init()};
    struct oauth2_token token = {0};
    enum err e = ERR_NO_MEMORY;
    bool has_room = reserve(&x.form, FORM_CAP);
    has_room = reserve(&x.user, FORM_CAP) && has_room;
    has_room = reserve(&x.password, FORM_CAP) && has_room;
    has_room = reserve(&x.body, OAUTH2_ANSWER_CAP) && has_room;
    if (x.curl == NULL || !has_room || !make_form(&x, client, secret)) {
        e = err_set(why, ERR_NO_MEMORY, "memory is short");
    } else if (!set_options(&x, client)) {
        e = err_set(why, ERR_INTERNAL, "libcurl refuses an option");
    } else {
        e = perform(&x, &token, why);
    }
    curl_easy_cleanup(x.curl);
    curl_slist_free_all(x.headers);
    buffer_wipe(&x.form);
    buffer_wipe(&x.user);
    buffer_wipe(&x.password);
    buffer_wipe(&x.body);
    if (e == OK) {
        *out = token;
    } else {
        oauth2_token_finish(&token);
    }
    return e;
}
