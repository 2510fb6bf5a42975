#include "cli/dev/http_option.h"

#include <curl/curl.h>
#include <stdio.h>
#include <stdlib.h>

static enum err fail(struct err_text *error)
{
    return err_set(
        error, ERR_INVALID,
        "--http: expected NAME=https://HOST[:PORT] (http:// too; USER:PASSWORD@ or TOKEN@ "
        "before HOST), without a path");
}

static enum err copy(const char *text, size_t size, char **out)
{
    *out = strndup(text, size);
    return *out == NULL ? ERR_NO_MEMORY : OK;
}

static enum err read_name(const char *text, struct http_option *out, struct err_text *error)
{
    size_t size = strspn(text, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789-_.");
    if (size == 0 || size > HTTP_OPTION_NAME_MAX || text[0] == '.' || text[size] != '=') {
        return err_set(
            error, ERR_INVALID,
            "--http: expected NAME=URL, a name of at most %d letters, digits and \"-_.\"",
            HTTP_OPTION_NAME_MAX);
    }
    return copy(text, size, &out->name);
}

/* Decoded. NULL: there is none, or what is there is not understood. */
static char *part(CURLU *url, CURLUPart which, bool *out_failed)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(url, which, &text, CURLU_URLDECODE);
    *out_failed =
        *out_failed || (code != CURLUE_OK && code != CURLUE_NO_USER && code != CURLUE_NO_PASSWORD);
    return text;
}

static enum err take_credential(CURLU *url, struct http_option *out, struct err_text *error)
{
    bool failed = false;
    char *user = part(url, CURLUPART_USER, &failed);
    char *password = part(url, CURLUPART_PASSWORD, &failed);
    const char *secret = password == NULL ? user : password;
    enum err e = OK;
    if (failed || (user != NULL && user[0] == '\0')) {
        e = fail(error);
    } else if (secret != NULL) {
        e = copy(secret, strlen(secret), &out->secret);
        if (e == OK && password != NULL) {
            e = copy(user, strlen(user), &out->user);
        }
    }
    if (password != NULL) {
        bytes_wipe(password, strlen(password));
    }
    if (user != NULL) {
        bytes_wipe(user, strlen(user));
    }
    curl_free(password);
    curl_free(user);
    return e;
}

/* The URL again, without the credential; nothing else may be in it. */
static enum err take_address(CURLU *url, struct http_option *out, struct err_text *error)
{
    char *scheme = NULL, *host = NULL, *port = NULL, *path = NULL, *rest = NULL;
    bool fits = curl_url_get(url, CURLUPART_SCHEME, &scheme, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_HOST, &host, 0) == CURLUE_OK &&
                curl_url_get(url, CURLUPART_PATH, &path, 0) == CURLUE_OK &&
                (strcmp(scheme, "http") == 0 || strcmp(scheme, "https") == 0) &&
                strcmp(path, "/") == 0 &&
                curl_url_get(url, CURLUPART_QUERY, &rest, 0) == CURLUE_NO_QUERY &&
                curl_url_get(url, CURLUPART_FRAGMENT, &rest, 0) == CURLUE_NO_FRAGMENT;
    if (fits) {
        (void)curl_url_get(url, CURLUPART_PORT, &port, 0);
        if (asprintf(&out->address, "%s://%s%s%s", scheme, host, port == NULL ? "" : ":",
                     port == NULL ? "" : port) < 0) {
            out->address = NULL;
        }
    }
    curl_free(scheme);
    curl_free(host);
    curl_free(port);
    curl_free(path);
    curl_free(rest);
    return !fits ? fail(error) : out->address == NULL ? ERR_NO_MEMORY : OK;
}

enum err http_option_parse(const char *text, struct http_option *out, struct err_text *error)
{
    struct http_option parsed = {0};
    enum err e = read_name(text, &parsed, error);
    const char *address = strchr(text, '=');
    CURLU *url = NULL;
    if (e == OK && address[1] != '\0') {
        url = curl_url();
        e = url == NULL                                                     ? ERR_NO_MEMORY
            : curl_url_set(url, CURLUPART_URL, address + 1, 0) == CURLUE_OK ? OK
                                                                            : fail(error);
        e = e == OK ? take_address(url, &parsed, error) : e;
        e = e == OK ? take_credential(url, &parsed, error) : e;
    }
    curl_url_cleanup(url);
    if (e != OK) {
        http_option_finish(&parsed);
        return e;
    }
    *out = parsed;
    return OK;
}

void http_option_finish(struct http_option *o)
{
    if (o->secret != NULL) {
        bytes_wipe(o->secret, strlen(o->secret));
    }
    free(o->name);
    free(o->address);
    free(o->user);
    free(o->secret);
    *o = (struct http_option){0};
}

void http_option_hide_secret(char *text)
{
    char *start = strstr(text, "://");
    char *at = start == NULL ? NULL : strrchr(start, '@');
    for (char *c = start == NULL ? NULL : start + 3; at != NULL && c < at; c++) {
        *c = *c == ':' ? ':' : 'x';
    }
}
