#include "cli/replay/player.h"

#include <stdlib.h>
#include <strings.h>

#include "cli/replay/pace.h"
#include "formats/text.h"

enum { PATTERN_SIZE = 128, STATUS_COLUMNS_DEFAULT = 80 };

static const double speed_min = 0.1, speed_max = 100, speed_step = 2;

enum mode { MODE_PLAYING, MODE_PAUSED, MODE_SEARCHING, MODE_OVER };
/* Of ESC [ C and ESC O C (ECMA-48, DEC cursor keys), which may come in pieces. */
enum escape { ESCAPE_NONE, ESCAPE_BEGUN, ESCAPE_BRACKET };

struct player {
    const struct script *script;
    struct terminal terminal;
    struct pace pace;
    size_t next; /* the first step that is not shown yet */
    enum mode mode;
    enum escape escape;
    char pattern[PATTERN_SIZE];
    size_t pattern_size;
    const char *note; /* in the line below; until the next key */
    bool has_status;
};

struct player *player_create(const struct script *script, const struct terminal *terminal,
                             double speed, int64_t now_ns)
{
    struct player *p = calloc(1, sizeof(*p));
    if (p != NULL) {
        p->script = script;
        p->terminal = *terminal;
        pace_start(&p->pace, speed, now_ns);
    }
    return p;
}

void player_destroy(struct player *p)
{
    free(p);
}

bool player_is_over(const struct player *p)
{
    return p->mode == MODE_OVER;
}

void player_clear(struct player *p)
{
    if (p->has_status) {
        (void)fputs("\r\x1b[K", p->terminal.out);
        (void)fflush(p->terminal.out);
        p->has_status = false;
    }
}

/* --- what is shown ------------------------------------------------------------------------------
 */

static void show_step(struct player *p)
{
    struct bytes text = script_step(p->script, p->next++)->text;
    player_clear(p);
    (void)fwrite(text.data, 1, text.size, p->terminal.out);
}

static int64_t length_of(const struct script *s)
{
    return script_count(s) == 0 ? 0 : script_step(s, script_count(s) - 1)->due_ns;
}

static void put_time(FILE *out, int64_t ns)
{
    long long seconds = ns / 1000000000;
    (void)fprintf(out, "%02lld:%02lld:%02lld", seconds / 3600, seconds / 60 % 60, seconds % 60);
}

static void show_status(struct player *p, int64_t now_ns)
{
    FILE *out = p->terminal.out;
    if (!p->terminal.is_terminal || p->mode == MODE_OVER) {
        return;
    }
    size_t width = p->terminal.width == 0 ? STATUS_COLUMNS_DEFAULT : p->terminal.width;
    player_clear(p);
    p->has_status = true;
    if (p->mode == MODE_SEARCHING) {
        (void)fputc('/', out);
        (void)text_write_cut(out, bytes_of(p->pattern, p->pattern_size), TEXT_SQUEEZED, width - 2);
        return;
    }
    int64_t length = length_of(p->script);
    int64_t position = pace_position(&p->pace, now_ns);
    terminal_style(&p->terminal, STYLE_DIM);
    put_time(out, position < length ? position : length);
    (void)fputs(" of ", out);
    put_time(out, length);
    if (p->note != NULL) {
        (void)fprintf(out, "  %s", p->note);
    } else if (width >= STATUS_COLUMNS_DEFAULT) {
        (void)fputs(p->mode == MODE_PAUSED ? "  paused" : "", out);
        (void)fputs("  space: pause, arrows: statements, /: search, q: end", out);
    }
    terminal_style(&p->terminal, STYLE_PLAIN);
}

int64_t player_turn(struct player *p, int64_t now_ns)
{
    int64_t wait = -1;
    while (p->mode == MODE_PLAYING) {
        if (p->next == script_count(p->script)) {
            player_clear(p);
            p->mode = MODE_OVER;
            break;
        }
        wait = pace_wait(&p->pace, script_step(p->script, p->next)->due_ns, now_ns);
        if (wait != 0) {
            break;
        }
        show_step(p);
    }
    show_status(p, now_ns);
    (void)fflush(p->terminal.out);
    return p->mode == MODE_OVER ? 0 : wait;
}

/* --- keys --------------------------------------------------------------------------------------
 */

static void stop(struct player *p, enum mode mode, int64_t now_ns)
{
    pace_pause(&p->pace, now_ns);
    p->mode = mode;
}

static void go_on(struct player *p, int64_t now_ns)
{
    pace_resume(&p->pace, now_ns);
    p->mode = MODE_PLAYING;
}

/* On with everything up to this step at once. */
static void jump_forward(struct player *p, size_t to, int64_t now_ns)
{
    while (p->next <= to) {
        show_step(p);
    }
    pace_seek(&p->pace, script_step(p->script, to)->due_ns, now_ns);
}

/* A terminal cannot take lines back: the screen begins anew with the step. */
static void jump_back(struct player *p, size_t to, int64_t now_ns)
{
    player_clear(p);
    (void)fputs("\x1b[2J\x1b[H", p->terminal.out);
    p->next = to;
    show_step(p);
    pace_seek(&p->pace, script_step(p->script, to)->due_ns, now_ns);
}

static void next_statement(struct player *p, int64_t now_ns)
{
    size_t at = p->next;
    while (at < script_count(p->script) && !script_step(p->script, at)->is_statement) {
        at++;
    }
    if (at < script_count(p->script)) {
        jump_forward(p, at, now_ns);
    } else {
        p->note = "there is no statement after it";
    }
}

/* The one that is shown last begins at `now`; back is the one before. */
static void previous_statement(struct player *p, int64_t now_ns)
{
    size_t at = p->next;
    for (int wanted = 2; wanted > 0;) {
        if (at == 0) {
            p->note = "there is no statement before it";
            return;
        }
        at--;
        wanted -= script_step(p->script, at)->is_statement ? 1 : 0;
    }
    jump_back(p, at, now_ns);
}

static bool has_pattern(const struct player *p, struct bytes text)
{
    for (size_t i = 0; i + p->pattern_size <= text.size; i++) {
        if (strncasecmp((const char *)text.data + i, p->pattern, p->pattern_size) == 0) {
            return true;
        }
    }
    return false;
}

static void search(struct player *p, int64_t now_ns)
{
    stop(p, MODE_PAUSED, now_ns);
    for (size_t at = p->next; p->pattern_size > 0 && at < script_count(p->script); at++) {
        if (has_pattern(p, script_step(p->script, at)->text)) {
            jump_forward(p, at, now_ns);
            return;
        }
    }
    p->note = p->pattern_size > 0 ? "not found from here on" : "nothing to search for";
}

static void change_speed(struct player *p, double factor, int64_t now_ns)
{
    double speed = p->pace.speed * factor;
    if (p->pace.speed > 0) {
        speed = speed < speed_min ? speed_min : speed > speed_max ? speed_max : speed;
        pace_set_speed(&p->pace, speed, now_ns);
        p->note = factor > 1 ? "faster" : "slower";
    }
}

static void take_pattern_key(struct player *p, char key, int64_t now_ns)
{
    if (key == '\r' || key == '\n') {
        search(p, now_ns);
    } else if (key == '\b' || key == 0x7f) {
        p->pattern_size -= p->pattern_size > 0 ? 1 : 0;
    } else if ((unsigned char)key >= ' ' && p->pattern_size < PATTERN_SIZE) {
        p->pattern[p->pattern_size++] = key;
    }
}

static void take_key(struct player *p, char key, int64_t now_ns)
{
    switch (key) {
    case ' ':
        if (p->mode == MODE_PAUSED) {
            go_on(p, now_ns);
        } else {
            stop(p, MODE_PAUSED, now_ns);
        }
        break;
    case '/':
        stop(p, MODE_SEARCHING, now_ns);
        p->pattern_size = 0;
        break;
    case 'n': search(p, now_ns); break;
    case '+': change_speed(p, speed_step, now_ns); break;
    case '-': change_speed(p, 1 / speed_step, now_ns); break;
    case 'q': p->mode = MODE_OVER; break;
    default: break;
    }
}

/* True when the key was part of an arrow or what ended one. */
static bool take_escape(struct player *p, char key, int64_t now_ns)
{
    enum escape before = p->escape;
    p->escape = key == 0x1b ? ESCAPE_BEGUN : ESCAPE_NONE;
    if (key == 0x1b) {
        /* Also the Esc key itself, which ends a search. */
        p->mode = p->mode == MODE_SEARCHING ? MODE_PAUSED : p->mode;
        return true;
    }
    if (before == ESCAPE_BEGUN && (key == '[' || key == 'O')) {
        p->escape = ESCAPE_BRACKET;
        return true;
    }
    if (before != ESCAPE_BRACKET) {
        return false;
    }
    if ((key >= '0' && key <= '9') || key == ';') {
        p->escape = ESCAPE_BRACKET; /* a modifier, which changes nothing */
    } else if (key == 'C') {
        next_statement(p, now_ns);
    } else if (key == 'D') {
        previous_statement(p, now_ns);
    }
    return true;
}

void player_keys(struct player *p, struct bytes keys, int64_t now_ns)
{
    p->note = NULL;
    for (size_t i = 0; i < keys.size && p->mode != MODE_OVER; i++) {
        char key = (char)keys.data[i];
        if (take_escape(p, key, now_ns)) {
            continue;
        }
        if (p->mode == MODE_SEARCHING) {
            take_pattern_key(p, key, now_ns);
        } else {
            take_key(p, key, now_ns);
        }
    }
    if (p->mode == MODE_OVER) {
        player_clear(p);
    }
}
