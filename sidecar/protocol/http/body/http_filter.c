#include "sidecar/protocol/http/body/http_filter.h"

/* Where a reader of a needle stands within the writing of one of its units. */
enum step {
    STEP_UNIT,
    STEP_PERCENT_HIGH,
    STEP_PERCENT_LOW,
    STEP_NESTED_PERCENT, /* "%2" that may become "%25" */
    STEP_BACKSLASH,
    STEP_UNICODE_1,
    STEP_UNICODE_2,
    STEP_UNICODE_3,
    STEP_UNICODE_4,
    STEP_LOW_BACKSLASH,
    STEP_LOW_U,
    STEP_LOW_1,
    STEP_LOW_2,
    STEP_LOW_3,
    STEP_LOW_4,
    STEPS,
};

enum {
    EDGES_MAX = 3,
    /* A place that can be reached within the window: every unit takes a byte at least. */
    UNITS_MAX = HTTP_FILTER_WINDOW_MAX,
};

struct place {
    size_t unit;
    enum step step;
};

/* One way on from a place. */
struct edge {
    struct http_byte_set bytes;
    struct place to;
};

/* All ways on from where one may be. */
struct ways {
    struct edge edges[EDGES_MAX];
    size_t count;
};

static struct http_byte_set set_of(const char *text)
{
    struct http_byte_set set = {{0}};
    for (; *text != '\0'; text++) {
        http_byte_set_add(&set, (uint8_t)*text);
    }
    return set;
}

static size_t list_bytes(const struct http_byte_set *set, uint8_t out[256])
{
    size_t count = 0;
    for (unsigned word = 0; word < 4; word++) {
        for (uint64_t bits = set->bits[word]; bits != 0; bits &= bits - 1) {
            out[count++] = (uint8_t)(word * 64 + (unsigned)__builtin_ctzll(bits));
        }
    }
    return count;
}

/* The hexadecimal digits of one half of what the unit may be. */
static struct http_byte_set nibbles_of(const struct http_byte_set *unit, unsigned shift)
{
    struct http_byte_set set = {{0}};
    uint8_t bytes[256];
    size_t count = list_bytes(unit, bytes);
    for (size_t i = 0; i < count; i++) {
        http_byte_set_add(&set, (uint8_t)("0123456789abcdef"[bytes[i] >> shift & 15]));
        http_byte_set_add(&set, (uint8_t)("0123456789ABCDEF"[bytes[i] >> shift & 15]));
    }
    return set;
}

/* How many units a code point takes that is written as \uXXXX. */
static size_t code_point_units(const struct http_needle *n, size_t unit)
{
    uint8_t lead = n->units[unit].a;
    return lead >= 0xf0 ? 4 : lead >= 0xe0 ? 3 : lead >= 0xc0 ? 2 : 1;
}

/* A digit of \uXXXX: of ASCII they are known, of other characters they may be any. */
static struct http_byte_set unicode_digit(const struct http_byte_set *unit, size_t wide,
                                          enum step step)
{
    if (wide > 1) {
        return set_of("0123456789abcdefABCDEF");
    }
    return step == STEP_UNICODE_1 || step == STEP_UNICODE_2
               ? set_of("0")
               : nibbles_of(unit, step == STEP_UNICODE_3 ? 4 : 0);
}

static size_t edges_of_unit(const struct http_needle *n, size_t unit, struct edge out[EDGES_MAX])
{
    size_t count = 0;
    out[count++] = (struct edge){http_needle_unit(n, unit), {unit + 1, STEP_UNIT}};
    if (!n->percent_is_raw) {
        out[count++] = (struct edge){set_of("%"), {unit, STEP_PERCENT_HIGH}};
    }
    if (!n->backslash_is_raw) {
        out[count++] = (struct edge){set_of("\\"), {unit, STEP_BACKSLASH}};
    }
    return count;
}

static size_t edges_of(const struct http_needle *n, struct place p, struct edge out[EDGES_MAX])
{
    if (p.unit >= n->count) {
        return 0;
    }
    struct http_byte_set unit = http_needle_unit(n, p.unit);
    size_t wide = code_point_units(n, p.unit);
    switch (p.step) {
    case STEP_UNIT: return edges_of_unit(n, p.unit, out);
    case STEP_PERCENT_HIGH:
        out[0] = (struct edge){nibbles_of(&unit, 4), {p.unit, STEP_PERCENT_LOW}};
        out[1] = (struct edge){set_of("2"), {p.unit, STEP_NESTED_PERCENT}};
        return 2;
    case STEP_NESTED_PERCENT:
        out[0] = (struct edge){set_of("5"), {p.unit, STEP_PERCENT_HIGH}};
        return 1;
    case STEP_PERCENT_LOW:
        out[0] = (struct edge){nibbles_of(&unit, 0), {p.unit + 1, STEP_UNIT}};
        return 1;
    case STEP_BACKSLASH:
        out[0] = (struct edge){set_of("u"), {p.unit, STEP_UNICODE_1}};
        out[1] = (struct edge){set_of("bfnrt\"\\/"), {p.unit + 1, STEP_UNIT}};
        out[2] = (struct edge){set_of("\\"), {p.unit, STEP_BACKSLASH}};
        return 3;
    case STEP_LOW_BACKSLASH: out[0] = (struct edge){set_of("\\"), {p.unit, STEP_LOW_U}}; return 1;
    case STEP_LOW_U: out[0] = (struct edge){set_of("u"), {p.unit, STEP_LOW_1}}; return 1;
    default: break;
    }
    struct place to = {p.unit, p.step + 1};
    if (p.step == STEP_LOW_4 || (p.step == STEP_UNICODE_4 && wide < 4)) {
        to = (struct place){p.unit + wide, STEP_UNIT};
    }
    out[0] = (struct edge){unicode_digit(&unit, wide, p.step), to};
    return 1;
}

/* The pairs may be at `at` and behind it in a window. */
static void add_pairs(struct http_filter *f, const struct http_byte_set *a,
                      const struct http_byte_set *b, size_t at)
{
    uint8_t first[256], second[256];
    size_t first_count = list_bytes(a, first), second_count = list_bytes(b, second);
    uint8_t shift = (uint8_t)(f->window - 2 - at);
    for (size_t i = 0; i < first_count; i++) {
        for (size_t j = 0; j < second_count; j++) {
            size_t pair = (size_t)first[i] << 8 | second[j];
            if (shift < f->shifts[pair]) {
                f->shifts[pair] = shift;
            }
            if (at == 0) { /* only the beginning itself is reached with no bytes */
                f->starts[pair >> 6] |= (uint64_t)1 << (pair & 63);
            }
        }
    }
}

void http_filter_init(struct http_filter *f, size_t window)
{
    *f = (struct http_filter){.window = window > HTTP_FILTER_WINDOW_MAX ? HTTP_FILTER_WINDOW_MAX
                                                                        : window};
    memset(f->shifts, (int)(f->window - 1), sizeof(f->shifts));
}

static void add_first(struct http_filter *f, const struct http_needle *n)
{
    struct edge edges[EDGES_MAX];
    size_t count = edges_of(n, (struct place){0, STEP_UNIT}, edges);
    for (size_t i = 0; i < count; i++) {
        for (size_t w = 0; w < 4; w++) {
            f->first.bits[w] |= edges[i].bytes.bits[w];
        }
    }
}

/* With how many bytes each place can be reached: the most of them, as a longer way moves the window
 * by less. -1: not within the window. */
static void measure(const struct http_filter *f, const struct ways ways[UNITS_MAX][STEPS],
                    int8_t furthest[UNITS_MAX][STEPS])
{
    bool reached[UNITS_MAX + 1][UNITS_MAX + 1][STEPS] = {[0] = {[0] = {[STEP_UNIT] = true}}};
    memset(furthest, -1, UNITS_MAX * STEPS);
    for (size_t at = 0; at + 2 <= f->window; at++) {
        for (size_t unit = 0; unit <= at; unit++) {
            for (unsigned step = 0; step < STEPS; step++) {
                if (!reached[at][unit][step]) {
                    continue;
                }
                furthest[unit][step] = (int8_t)at;
                for (size_t i = 0; i < ways[unit][step].count; i++) {
                    struct place to = ways[unit][step].edges[i].to;
                    reached[at + 1][to.unit][to.step] = true;
                }
            }
        }
    }
}

/* The pairs that may be read from a place on. */
static void add_place(struct http_filter *f, const struct ways ways[UNITS_MAX][STEPS],
                      const struct ways *from, size_t at)
{
    for (size_t i = 0; i < from->count; i++) {
        struct place to = from->edges[i].to;
        const struct ways *next = &ways[to.unit][to.step];
        for (size_t j = 0; j < next->count; j++) {
            add_pairs(f, &from->edges[i].bytes, &next->edges[j].bytes, at);
        }
    }
}

void http_filter_add(struct http_filter *f, const struct http_needle *n)
{
    struct ways ways[UNITS_MAX][STEPS];
    int8_t furthest[UNITS_MAX][STEPS];
    add_first(f, n);
    for (size_t unit = 0; unit < UNITS_MAX; unit++) {
        for (unsigned step = 0; step < STEPS; step++) {
            struct ways *w = &ways[unit][step];
            w->count = edges_of(n, (struct place){unit, (enum step)step}, w->edges);
        }
    }
    measure(f, ways, furthest);
    for (size_t unit = 0; unit < UNITS_MAX; unit++) {
        for (unsigned step = 0; step < STEPS; step++) {
            if (furthest[unit][step] >= 0) {
                add_place(f, ways, &ways[unit][step], (size_t)furthest[unit][step]);
            }
        }
    }
}

size_t http_filter_next(const struct http_filter *f, struct bytes text, size_t from)
{
    size_t window = f->window;
    if (window < 2) {
        while (from < text.size && !http_byte_set_has(&f->first, text.data[from])) {
            from++;
        }
        return from;
    }
    if (text.size < window) {
        return from;
    }
    const uint8_t *at = text.data + from, *last = text.data + (text.size - window);
    while (at <= last) {
        size_t pair = (size_t)at[window - 2] << 8 | at[window - 1];
        size_t shift = f->shifts[pair];
        if (shift == 0) {
            if (http_filter_is_start(f, at)) {
                break;
            }
            shift = 1;
        }
        at += shift;
    }
    return (size_t)(at - text.data);
}
