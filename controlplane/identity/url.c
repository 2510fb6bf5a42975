#include "controlplane/identity/url.h"

#include <arpa/inet.h>
#include <curl/curl.h>
#include <string.h>
#include <strings.h>

#include "controlplane/identity/strict_json.h"

static bool is_loopback(const char *host)
{
    struct in_addr v4;
    if (strcasecmp(host, "localhost") == 0 || strcmp(host, "[::1]") == 0) {
        return true;
    }
    return inet_pton(AF_INET, host, &v4) == 1 && ntohl(v4.s_addr) >> 24 == IN_LOOPBACKNET;
}

static bool has_part(CURLU *u, CURLUPart part)
{
    char *text = NULL;
    CURLUcode code = curl_url_get(u, part, &text, 0);
    curl_free(text);
    return code == CURLUE_OK;
}

static enum err check_parts(CURLU *u, const char *shown, const char *what, struct err_text *why)
{
    char *scheme = NULL;
    char *host = NULL;
    enum err e = OK;
    if (curl_url_get(u, CURLUPART_SCHEME, &scheme, 0) != CURLUE_OK ||
        curl_url_get(u, CURLUPART_HOST, &host, 0) != CURLUE_OK) {
        e = err_set(why, ERR_INVALID, "%s %s is not a URL", what, shown);
    } else if (strcmp(scheme, "https") != 0 &&
               (strcmp(scheme, "http") != 0 || !is_loopback(host))) {
        e = err_set(why, ERR_INVALID,
                    "%s %s must be https (http only to localhost, 127.0.0.1 or [::1])", what,
                    shown);
    } else if (has_part(u, CURLUPART_USER) || has_part(u, CURLUPART_PASSWORD) ||
               has_part(u, CURLUPART_FRAGMENT)) {
        e = err_set(why, ERR_INVALID, "%s must be a URL without user, password and fragment", what);
    }
    curl_free(scheme);
    curl_free(host);
    return e;
}

static enum err check(const char *url, bool query_allowed, const char *what, struct err_text *why)
{
    char shown[STRICT_JSON_QUOTE_SIZE];
    (void)strict_json_quote(url, shown);
    CURLU *u = curl_url();
    if (u == NULL) {
        return err_set(why, ERR_NO_MEMORY, "memory is short");
    }
    enum err e = OK;
    if (curl_url_set(u, CURLUPART_URL, url, 0) != CURLUE_OK) {
        e = err_set(why, ERR_INVALID, "%s %s is not a URL", what, shown);
    } else {
        e = check_parts(u, shown, what, why);
        if (e == OK && !query_allowed && has_part(u, CURLUPART_QUERY)) {
            e = err_set(why, ERR_INVALID, "%s %s must be a URL without a query", what, shown);
        }
    }
    curl_url_cleanup(u);
    return e;
}

enum err url_check(const char *url, const char *what, struct err_text *why)
{
    return check(url, true, what, why);
}

enum err url_check_issuer(const char *url, const char *what, struct err_text *why)
{
    return check(url, false, what, why);
}

bool url_is_plain(const char *url)
{
    return strncasecmp(url, "http://", 7) == 0;
}
