#include "controlplane/config_fixture.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>

#include <cmocka.h>

struct config *config_fixture_load(const char *text)
{
    struct config *c = NULL;
    struct err_text why = {0};
    if (config_load_text(CONFIG_FIXTURE_PATH, bytes_of_string(text), &c, &why) != OK) {
        fail_msg("%s", why.text);
    }
    return c;
}

struct err_text config_fixture_refuse(const char *text, const char *place, const char *words)
{
    struct config *c = NULL;
    struct err_text why = {0};
    char begin[64];
    int size = snprintf(begin, sizeof(begin), "%s:%s", CONFIG_FIXTURE_PATH, place);
    enum err err = config_load_text(CONFIG_FIXTURE_PATH, bytes_of_string(text), &c, &why);
    if (err != ERR_INVALID || strstr(why.text, words) == NULL ||
        strncmp(why.text, begin, (size_t)size) != 0) {
        fail_msg("for\n%s\nexpected: %s... %s\ngot:      %s", text, begin, words, why.text);
    }
    assert_null(c);
    return why;
}

void config_fixture_refuse_each(const struct config_mistake *mistakes, size_t count,
                                const char *place, const char *secret)
{
    for (size_t i = 0; i < count; i++) {
        struct err_text why = config_fixture_refuse(mistakes[i].text, place, mistakes[i].words);
        assert_true(secret == NULL || strstr(why.text, secret) == NULL);
    }
}
