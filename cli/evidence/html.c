#include "cli/evidence/html.h"

#include <inttypes.h>

#include "base/crypto/crypto.h"
#include "cli/output/moment.h"
#include "formats/text.h"

static const char style[] =
    "body{font:14px/1.5 system-ui,sans-serif;margin:2em auto;max-width:80em;padding:0 1em;"
    "color:#1b1f24;background:#fff}"
    "h1{font-size:1.6em}h2{font-size:1.2em;margin-top:2em;border-bottom:1px solid #d0d7de}"
    "table{border-collapse:collapse;width:100%}"
    "th,td{text-align:left;vertical-align:top;padding:.3em .8em .3em 0;"
    "border-bottom:1px solid #eaeef2;overflow-wrap:anywhere}"
    "th{font-weight:600;white-space:nowrap}"
    "td.n{text-align:right;font-variant-numeric:tabular-nums}"
    "code,pre{font:12px/1.5 ui-monospace,monospace;overflow-wrap:anywhere;white-space:pre-wrap}"
    "pre{background:#f6f8fa;padding:1em}"
    "p.note{color:#57606a}";

/* The one style that the page may have is named by its hash (CSP level 2): none that a text might
 * bring along. */
static enum err write_policy(FILE *out)
{
    uint8_t digest[CRYPTO_SHA256_SIZE];
    struct buffer base64;
    crypto_sha256_of(bytes_of_string(style), digest);
    buffer_init(&base64, 128);
    enum err e = crypto_base64_encode(bytes_of(digest, sizeof(digest)), &base64);
    if (e == OK) {
        (void)fprintf(out,
                      "<meta http-equiv=\"Content-Security-Policy\" content=\"default-src 'none'; "
                      "style-src 'sha256-%.*s'; base-uri 'none'; form-action 'none'\">\n",
                      (int)buffer_size(&base64), (const char *)buffer_bytes(&base64).data);
    }
    buffer_finish(&base64);
    return e;
}

enum err html_begin(FILE *out, const char *title)
{
    (void)fputs("<!DOCTYPE html>\n<html lang=\"en\">\n<head>\n<meta charset=\"utf-8\">\n", out);
    enum err e = write_policy(out);
    (void)fputs("<meta name=\"referrer\" content=\"no-referrer\">\n"
                "<meta name=\"viewport\" content=\"width=device-width\">\n<title>",
                out);
    html_string(out, title);
    (void)fprintf(out, "</title>\n<style>%s</style>\n</head>\n<body>\n<h1>", style);
    html_string(out, title);
    (void)fputs("</h1>\n", out);
    return e;
}

void html_end(FILE *out)
{
    (void)fputs("</body>\n</html>\n", out);
}

static void put_character(FILE *out, char c)
{
    switch (c) {
    case '&': (void)fputs("&amp;", out); break;
    case '<': (void)fputs("&lt;", out); break;
    case '>': (void)fputs("&gt;", out); break;
    case '"': (void)fputs("&quot;", out); break;
    case '\'': (void)fputs("&#39;", out); break;
    default: (void)fputc(c, out); break;
    }
}

void html_text(FILE *out, struct bytes text, size_t max)
{
    struct text_unit unit;
    for (size_t n = 0; text_next(&text, TEXT_ESCAPED, &unit); n++) {
        if (max != HTML_WHOLE && n == max) {
            (void)fputs("\xe2\x80\xa6", out);
            return;
        }
        for (size_t i = 0; i < unit.size; i++) {
            put_character(out, unit.bytes[i]);
        }
    }
}

void html_table_begin(FILE *out, const char *const *columns)
{
    (void)fputs("<table>\n<tr>", out);
    for (; *columns != NULL; columns++) {
        (void)fputs("<th>", out);
        html_string(out, *columns);
        (void)fputs("</th>", out);
    }
    (void)fputs("</tr>\n", out);
}

void html_table_end(FILE *out)
{
    (void)fputs("</table>\n", out);
}

void html_cell(FILE *out, const char *text)
{
    enum { CELL_MAX = 600 };
    (void)fputs("<td>", out);
    html_text(out, bytes_of_string(text), CELL_MAX);
    (void)fputs("</td>", out);
}

void html_cell_time(FILE *out, int64_t wall_ns)
{
    char text[MOMENT_SIZE] = "";
    if (wall_ns != 0) {
        moment_format(wall_ns, text);
    }
    html_cell(out, text);
}

void html_cell_number(FILE *out, uint64_t value)
{
    (void)fprintf(out, "<td class=\"n\">%" PRIu64 "</td>", value);
}
