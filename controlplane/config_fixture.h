/* Configurations of a test's own, as if they stood in the file CONFIG_FIXTURE_PATH. */
#ifndef CHAPERONE_CONTROLPLANE_CONFIG_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_CONFIG_FIXTURE_H

#include "controlplane/config.h"

#define CONFIG_FIXTURE_PATH "/etc/chaperone/cp.yaml"

/* What is wrong in a text, and words of the sentence that says so. */
struct config_mistake {
    const char *text, *words;
};

/* Returns owned; a text that is refused fails the test. */
struct config *config_fixture_load(const char *text);

/* The text is refused as invalid, with those words in a sentence that begins with the file's path,
 * a colon and `place` ("": anywhere in it); else the test fails. The sentence. */
struct err_text config_fixture_refuse(const char *text, const char *place, const char *words);

/* Each of them is, and no sentence has `secret` (NULL: there is none). */
void config_fixture_refuse_each(const struct config_mistake *mistakes, size_t count,
                                const char *place, const char *secret);

#endif
