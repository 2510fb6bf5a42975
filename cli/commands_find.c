/* Which command a command line names. */
#include <stdio.h>

#include "cli/commands.h"

enum { WORDS_MAX = 64, WORD_SIZE = 32 };

static bool has_words(const struct command *c, const char *first, const char *second)
{
    const char *space = strchr(c->name, ' ');
    if (space == NULL) {
        return strcmp(c->name, first) == 0;
    }
    return second != NULL &&
           bytes_equal_string(bytes_of(c->name, (size_t)(space - c->name)), first) &&
           strcmp(space + 1, second) == 0;
}

static bool is_group(const struct command *c, const char *first)
{
    const char *space = strchr(c->name, ' ');
    return space != NULL && bytes_equal_string(bytes_of(c->name, (size_t)(space - c->name)), first);
}

struct commands_match commands_find(char **argv)
{
    struct commands_match match = {0};
    for (const struct command *c = commands; argv[0] != NULL && c->name != NULL; c++) {
        if (has_words(c, argv[0], argv[1])) {
            match.command = c;
            match.words = strchr(c->name, ' ') == NULL ? 1 : 2;
            return match;
        }
        if (is_group(c, argv[0])) {
            match.group = argv[0];
            match.words = 1;
        }
    }
    return match;
}

/* The first words of all commands, or the second ones of a group; each once. */
static void list_words(const char *group, char storage[WORDS_MAX][WORD_SIZE],
                       const char *words[WORDS_MAX + 1])
{
    size_t n = 0;
    for (const struct command *c = commands; c->name != NULL && n < WORDS_MAX; c++) {
        const char *space = strchr(c->name, ' ');
        if (group != NULL && is_group(c, group)) {
            (void)snprintf(storage[n], WORD_SIZE, "%s", space + 1);
        } else if (group == NULL) {
            (void)snprintf(storage[n], WORD_SIZE, "%.*s",
                           (int)(space == NULL ? strlen(c->name) : (size_t)(space - c->name)),
                           c->name);
        } else {
            continue;
        }
        words[n] = storage[n];
        n++;
    }
    words[n] = NULL;
}

void commands_explain_unknown(char **argv, struct err_text *error)
{
    struct commands_match match = commands_find(argv);
    const char *word = argv[match.words];
    char storage[WORDS_MAX][WORD_SIZE];
    const char *words[WORDS_MAX + 1];
    list_words(match.group, storage, words);
    const char *meant = word == NULL ? NULL : options_suggest(word, words);
    const char *prefix = match.group == NULL ? "" : match.group;
    const char *gap = match.group == NULL ? "" : " ";
    if (word == NULL) {
        (void)err_set(error, ERR_INVALID, "\"%s\" needs a command behind it", prefix);
    } else if (meant == NULL) {
        (void)err_set(error, ERR_INVALID, "unknown command \"%s%s%.64s\"", prefix, gap, word);
    } else {
        (void)err_set(error, ERR_INVALID, "unknown command \"%s%s%.64s\"; did you mean \"%s%s%s\"?",
                      prefix, gap, word, prefix, gap, meant);
    }
}
