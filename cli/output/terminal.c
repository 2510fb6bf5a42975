#include "cli/output/terminal.h"

#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { WIDTH_DEFAULT = 80, WIDTH_MAX = 1000 };

static bool is_set(const char *variable)
{
    const char *value = getenv(variable);
    return value != NULL && value[0] != '\0';
}

static size_t find_width(int fd)
{
    const char *columns = getenv("COLUMNS");
    if (columns != NULL) {
        unsigned long n = strtoul(columns, NULL, 10);
        if (n > 0 && n <= WIDTH_MAX) {
            return n;
        }
    }
    struct winsize size = {0};
    if (ioctl(fd, TIOCGWINSZ, &size) == 0 && size.ws_col > 0) {
        return size.ws_col;
    }
    return WIDTH_DEFAULT;
}

struct terminal terminal_of(FILE *out)
{
    struct terminal t = {.out = out};
    int fd = fileno(out);
    if (fd < 0 || isatty(fd) == 0) {
        return t;
    }
    const char *term = getenv("TERM");
    t.is_terminal = true;
    t.colour = !is_set("NO_COLOR") && term != NULL && term[0] != '\0' && strcmp(term, "dumb") != 0;
    t.width = find_width(fd);
    return t;
}

void terminal_style(const struct terminal *t, enum style style)
{
    static const char *const codes[] = {
        [STYLE_PLAIN] = "\x1b[0m",  [STYLE_HEADING] = "\x1b[1m",  [STYLE_GOOD] = "\x1b[32m",
        [STYLE_BAD] = "\x1b[1;31m", [STYLE_WARNING] = "\x1b[33m", [STYLE_DIM] = "\x1b[2m",
    };
    if (t->colour) {
        (void)fputs(codes[style], t->out);
    }
}
