/* `when`: days, times of day, and from when until when a rule holds at all. */
#include <stdlib.h>
#include <time.h>

#include "policies/policy_load.h"

enum { DAY_S = 86400, ALL_DAYS = 0x7f };

/* Digits only, where strtol would take signs and spaces. -1: something else stands there. */
static int number_at(const char *text, size_t digits)
{
    int value = 0;
    for (size_t i = 0; i < digits; i++) {
        if (text[i] < '0' || text[i] > '9') {
            return -1;
        }
        value = value * 10 + (text[i] - '0');
    }
    return value;
}

/* "08:00" to "24:00", in seconds; -1: it is no time. */
static int32_t time_parse(const char *text)
{
    if (strlen(text) != 5 || text[2] != ':') {
        return -1;
    }
    int hour = number_at(text, 2), minute = number_at(text + 3, 2);
    bool good = hour >= 0 && minute >= 0 && minute < 60 && (hour < 24 || (hour == 24 && !minute));
    return good ? hour * 3600 + minute * 60 : -1;
}

/* "Z", "+01:00"; RFC 3339 section 5.6 time-offset, within what time zones have. */
static bool offset_parse(const char *text, int32_t *out)
{
    if (strcmp(text, "Z") == 0) {
        *out = 0;
        return true;
    }
    int32_t seconds = text[0] == '+' || text[0] == '-' ? time_parse(text + 1) : -1;
    if (seconds < 0 || seconds > 14 * 3600) {
        return false;
    }
    *out = text[0] == '-' ? -seconds : seconds;
    return true;
}

/* RFC 3339 section 5.6, without fractions and leap seconds. */
static bool timestamp_parse(const char *text, int64_t *out)
{
    static const char form[] = "dddd-dd-ddTdd:dd:dd";
    int32_t offset = 0;
    for (size_t i = 0; i < sizeof(form) - 1; i++) {
        if (form[i] == 'd' ? number_at(text + i, 1) < 0 : text[i] != form[i]) {
            return false;
        }
    }
    struct tm t = {.tm_year = number_at(text, 4) - 1900,
                   .tm_mon = number_at(text + 5, 2) - 1,
                   .tm_mday = number_at(text + 8, 2),
                   .tm_hour = number_at(text + 11, 2),
                   .tm_min = number_at(text + 14, 2),
                   .tm_sec = number_at(text + 17, 2)};
    struct tm same = t;
    time_t at = timegm(&same);
    /* timegm makes the 30th of February the 2nd of March. */
    if (same.tm_year != t.tm_year || same.tm_mon != t.tm_mon || same.tm_mday != t.tm_mday ||
        same.tm_hour != t.tm_hour || same.tm_min != t.tm_min || same.tm_sec != t.tm_sec ||
        !offset_parse(text + sizeof(form) - 1, &offset)) {
        return false;
    }
    *out = (int64_t)at - offset;
    return true;
}

static enum err time_read(struct load *l, const struct conf_node *when, const char *key,
                          int32_t max, int32_t *out)
{
    const char *text = NULL;
    enum err e = conf_read_string(when, key, &text, l->why);
    if (e != OK || text == NULL) {
        return e;
    }
    int32_t seconds = time_parse(text);
    if (seconds < 0 || seconds > max) {
        return conf_fail(conf_get(when, key), l->why,
                         "expected a time of day such as \"08:00\", found \"%.40s\"", text);
    }
    *out = seconds;
    return OK;
}

static enum err offset_read(struct load *l, const struct conf_node *when, int32_t *out)
{
    const char *text = NULL;
    enum err e = conf_read_string(when, "utc_offset", &text, l->why);
    if (e == OK && text != NULL && !offset_parse(text, out)) {
        e = conf_fail(conf_get(when, "utc_offset"), l->why,
                      "expected an offset such as \"+01:00\" or \"Z\", at most 14 hours, found "
                      "\"%.40s\"",
                      text);
    }
    return e;
}

static enum err timestamp_read(struct load *l, const struct conf_node *when, const char *key,
                               int64_t *out)
{
    const char *text = NULL;
    enum err e = conf_read_string(when, key, &text, l->why);
    if (e == OK && text != NULL && !timestamp_parse(text, out)) {
        e = conf_fail(conf_get(when, key), l->why,
                      "expected a time such as 2026-01-31T08:00:00Z, found \"%.40s\"", text);
    }
    return e;
}

static enum err days_read(struct load *l, const struct conf_node *when, uint8_t *out)
{
    static const struct conf_choice days[] = {{"mon", 0}, {"tue", 1}, {"wed", 2}, {"thu", 3},
                                              {"fri", 4}, {"sat", 5}, {"sun", 6}, {NULL, 0}};
    const struct conf_node *list = NULL;
    enum err e = load_list(l, when, "days", &list);
    uint8_t bits = 0;
    for (const struct conf_node *n = list == NULL ? NULL : conf_first(list); e == OK && n != NULL;
         n = conf_next(n)) {
        int day = 0;
        e = conf_as_choice(n, days, &day, l->why);
        bits = (uint8_t)(bits | 1u << day);
    }
    if (e == OK && list != NULL) {
        *out = bits;
    }
    return e;
}

enum err load_when(struct load *l, const struct conf_node *match, struct window *out)
{
    static const char *const keys[] = {"days",       "from",      "until", "utc_offset",
                                       "not_before", "not_after", NULL};
    const struct conf_node *when = NULL;
    struct window w = {.is_given = true,
                       .days = ALL_DAYS,
                       .until_s = DAY_S,
                       .not_before = INT64_MIN,
                       .not_after = INT64_MAX};
    enum err e = conf_read_map(match, "when", &when, l->why);
    if (e != OK || when == NULL) {
        return e;
    }
    e = conf_check_keys(when, keys, l->why);
    if (e == OK && conf_count(when) == 0) {
        e = conf_fail(when, l->why,
                      "expected at least one of days, from, until, not_before and "
                      "not_after; leave `when` out for always");
    }
    e = e == OK ? days_read(l, when, &w.days) : e;
    e = e == OK ? time_read(l, when, "from", DAY_S - 60, &w.from_s) : e;
    e = e == OK ? time_read(l, when, "until", DAY_S, &w.until_s) : e;
    e = e == OK ? offset_read(l, when, &w.offset_s) : e;
    e = e == OK ? timestamp_read(l, when, "not_before", &w.not_before) : e;
    e = e == OK ? timestamp_read(l, when, "not_after", &w.not_after) : e;
    if (e == OK && w.not_before > w.not_after) {
        e = conf_fail(conf_get(when, "not_after"), l->why,
                      "it is before `not_before`; the rule would never hold");
    }
    if (e == OK && !window_is_possible(&w)) {
        e = conf_fail(when, l->why, "there is no such time; the rule would never hold");
    }
    if (e == OK) {
        *out = w;
    }
    return e;
}
