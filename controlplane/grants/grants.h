/* Who may open a session on what: a pure function of the identity, the request and the
 * configuration.
 *
 * Default deny. A grant lets in whom any of its subjects or groups names (the text itself, or a
 * glob of fnmatch(3) without escapes; letter case counts), from the providers that it names. The
 * first one in the order of the file wins; which one it was is recorded. */
#ifndef CHAPERONE_CONTROLPLANE_GRANTS_GRANTS_H
#define CHAPERONE_CONTROLPLANE_GRANTS_GRANTS_H

#include "base/bytes.h"
#include "controlplane/config.h"

/* From a verified token. All is borrowed. */
struct grants_who {
    const char *provider; /* the name of its identity provider in the configuration */
    const char *subject;
    const char *const *groups;
    size_t group_count;
};

struct grants_request {
    const char *resource;
    const char *protocol;
    const char *database; /* "": none was named */
    const char *user;     /* what the agent calls itself towards the target */
};

enum grants_result {
    GRANTS_ALLOWED,
    GRANTS_NO_RESOURCE, /* none of that name, or of another protocol */
    GRANTS_REFUSED,     /* no grant, or not this database */
};

/* Borrows from the configuration and the request. */
struct grants_decision {
    enum grants_result result;
    const struct config_resource *resource; /* of an allowed one, and so the rest */
    const struct config_grant *grant;
    const char *database;
    struct err_text reason; /* of a refusal: one sentence for the agent */
};

struct grants_decision grants_decide(const struct config *config, const struct grants_who *who,
                                     const struct grants_request *request) MUST_USE;

/* False where `whom` names nobody. */
bool grants_is_among(const struct config_whom *whom, const struct grants_who *who) MUST_USE;

/* Bits of enum config_role; none from a provider whose groups give no roles. */
unsigned grants_roles(const struct config *config, const struct grants_who *who) MUST_USE;

#endif
