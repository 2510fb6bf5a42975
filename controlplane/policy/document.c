#include "controlplane/policy/document.h"

#include <stdlib.h>

#include "base/conf/conf.h"
#include "controlplane/files/files.h"
#include "controlplane/store/store.h"
#include "policies/policy.h"

/* What the author wrote, so that errors name its lines; and the canonical bytes, which sidecars
 * compile: a document that would be refused there is refused here. */
static enum err check(const struct conf_node *root, struct bytes canonical, struct err_text *why)
{
    struct policy *policy = NULL;
    enum err e = policy_compile_conf(root, 1, &policy, why);
    policy_destroy(policy);
    if (e == OK) {
        policy = NULL;
        e = policy_compile(canonical, 1, &policy, why);
        policy_destroy(policy);
    }
    return e;
}

static enum err parse(const char *name, struct bytes text, struct policy_document *out,
                      struct err_text *why)
{
    struct conf *document = NULL;
    char *json = NULL;
    enum err e = conf_load_text(name, text, &document, why);
    if (e == OK) {
        json = conf_to_json(conf_root(document));
        out->source = bytes_to_string(text);
        e = json == NULL || out->source == NULL
                ? ERR_NO_MEMORY
                : buffer_append(&out->canonical, bytes_of_string(json));
    }
    if (e == OK) {
        e = check(conf_root(document), buffer_bytes(&out->canonical), why);
    }
    free(json);
    conf_destroy(document);
    return e;
}

static enum err load(const char *path, struct policy_document *out, struct err_text *why)
{
    struct buffer source;
    buffer_init(&source, CONF_SIZE_MAX);
    enum err e = files_read(path, &source, why);
    if (e == OK) {
        e = parse(path, buffer_bytes(&source), out, why);
    }
    buffer_finish(&source);
    return e;
}

enum err policy_document_parse(const char *name, struct bytes text, struct policy_document *out,
                               struct err_text *why)
{
    struct policy_document document = {.source = NULL};
    buffer_init(&document.canonical, STORE_DOCUMENT_SIZE_MAX);
    enum err e = parse(name, text, &document, why);
    if (e != OK) {
        policy_document_finish(&document);
        return e;
    }
    *out = document;
    return OK;
}

enum err policy_document_load(const char *path, struct policy_document *out, struct err_text *why)
{
    struct policy_document document = {.source = NULL};
    buffer_init(&document.canonical, STORE_DOCUMENT_SIZE_MAX);
    enum err e = OK;
    if (path != NULL) {
        e = load(path, &document, why);
    } else {
        document.source = strdup("");
        e = document.source == NULL ? ERR_NO_MEMORY
                                    : buffer_append_string(&document.canonical, policy_allow_all());
    }
    if (e != OK) {
        policy_document_finish(&document);
        return e;
    }
    *out = document;
    return OK;
}

void policy_document_finish(struct policy_document *document)
{
    buffer_finish(&document->canonical);
    free(document->source);
    document->source = NULL;
}
