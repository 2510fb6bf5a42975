/* Chat accounts of people: linked once, by the person, with an OIDC login. */
#include <stdio.h>

#include "base/crypto/crypto.h"
#include "controlplane/rpc/services_internal.h"

enum {
    ARENA_BLOCK = 4 << 10,
    ARENA_CAP = 16 << 20,
    PROVIDER_MAX = 64,
    ACCOUNT_MAX = 256,
    /* 5 bits each: 80 bits, which nobody guesses in ten minutes. */
    CODE_LETTERS = 16,
    CODE_TEXT_SIZE = CODE_LETTERS + 4,
};

static const int64_t code_lifetime_ns = INT64_C(600) * 1000000000;
static const int64_t link_lifetime_ns = INT64_C(30) * 86400 * 1000000000;

/* Without I, L, O and U: as Crockford's base 32. */
static const char letters[] = "0123456789ABCDEFGHJKMNPQRSTVWXYZ";

static bool is_plain(const char *text, size_t max)
{
    size_t size = strnlen(text, max + 1);
    for (size_t i = 0; i < size; i++) {
        if ((unsigned char)text[i] < 0x20 || text[i] == 0x7f) {
            return false;
        }
    }
    return size > 0 && size <= max;
}

static enum err check_account(const Chaperone__V1__ChatAccount *account, struct err_text *why)
{
    bool is_good = account != NULL && is_plain(account->provider, PROVIDER_MAX) &&
                   is_plain(account->account, ACCOUNT_MAX);
    return is_good ? OK : err_set(why, ERR_INVALID, "expected a chat account: provider, account");
}

/* For the log: what was not checked may be anything. */
static const char *name_of(const Chaperone__V1__ChatAccount *account)
{
    return check_account(account, NULL) == OK ? account->account : "";
}

static void fill_account(const struct store_link *link, Chaperone__V1__ChatAccount *out)
{
    out->provider = (char *)(uintptr_t)link->provider;
    out->account = (char *)(uintptr_t)link->account;
}

static enum err record(const struct call *call, const char *action, const struct store_link *link)
{
    char object[PROVIDER_MAX + ACCOUNT_MAX + 2];
    Chaperone__V1__Action message = CHAPERONE__V1__ACTION__INIT;
    (void)snprintf(object, sizeof(object), "%s:%s", link->provider, link->account);
    message.action = (char *)(uintptr_t)action;
    message.object = object;
    message.ordered_unix_ns = message.done_unix_ns = services_now(call->services);
    return services_record_action(call, &message, "", NULL);
}

/* --- codes -------------------------------------------------------------------------------------
 */

/* As a person types it: in any case, with or without the dashes. */
static bool hash_code(const char *text, uint8_t out[STORE_HASH_SIZE])
{
    char code[CODE_LETTERS];
    size_t n = 0;
    for (; *text != '\0'; text++) {
        char c = *text >= 'a' && *text <= 'z' ? (char)(*text - 'a' + 'A') : *text;
        if (c == '-' || c == ' ') {
            continue;
        }
        if (n == CODE_LETTERS || strchr(letters, c) == NULL) {
            return false;
        }
        code[n++] = c;
    }
    crypto_sha256_of(bytes_of(code, n), out);
    bytes_wipe(code, sizeof(code));
    return n == CODE_LETTERS;
}

/* "7QK4-M0ZT-..." */
static enum err make_code(char out[CODE_TEXT_SIZE])
{
    uint8_t bytes[CODE_LETTERS];
    const struct crypto_random random = crypto_random_system();
    enum err e = random.fill(random.context, bytes, sizeof(bytes));
    for (size_t i = 0, at = 0; e == OK && i < CODE_LETTERS; i++) {
        if (i > 0 && i % 4 == 0) {
            out[at++] = '-';
        }
        out[at++] = letters[bytes[i] % 32];
        out[at] = '\0';
    }
    return e;
}

void links_create_code(const struct call *call, const ProtobufCMessage *message,
                       ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__ChatAccount *account =
        ((const Chaperone__V1__CreateLinkCodeRequest *)message)->account;
    Chaperone__V1__CreateLinkCodeResponse response = CHAPERONE__V1__CREATE_LINK_CODE_RESPONSE__INIT;
    char code[CODE_TEXT_SIZE] = "";
    uint8_t hash[STORE_HASH_SIZE];
    struct err_text why = {.text = ""};
    int64_t now = services_now(call->services);
    enum err e = check_account(account, &why);
    if (e == OK) {
        e = make_code(code);
    }
    if (e == OK) {
        e = hash_code(code, hash) ? OK : ERR_INTERNAL;
    }
    if (e == OK) {
        e = store_link_code_add(call->services->with.store, hash, account->provider,
                                account->account, now, now + code_lifetime_ns);
    }
    if (e == OK) {
        response.code = code;
        response.expires_unix_ns = now + code_lifetime_ns;
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "link_code_add", e, &why, out_status);
    }
    bytes_wipe(code, sizeof(code));
    services_log_action(call, "link_code_create", name_of(account),
                        rpc_code_name(out_status->code));
}

/* --- Confirm -----------------------------------------------------------------------------------
 */

/* One a line: identity.h promises that no group has a line's end in it. */
static enum err join_groups(const struct identity *who, struct buffer *out)
{
    enum err e = OK;
    for (size_t i = 0; e == OK && i < who->group_count; i++) {
        e = buffer_append_format(out, "%s%s", i == 0 ? "" : "\n", who->groups[i]);
    }
    return e == OK ? buffer_append(out, bytes_of("", 1)) : e;
}

static enum err confirm(const struct call *call, const char *code, struct arena *arena,
                        struct store_link *out, struct err_text *why)
{
    const struct identity *who = call->caller->who;
    int64_t now = services_now(call->services);
    struct store_link link = {.issuer = who->issuer,
                              .subject = who->subject,
                              .name = who->name,
                              .created_ns = now,
                              .expires_ns = now + link_lifetime_ns};
    struct buffer groups;
    uint8_t hash[STORE_HASH_SIZE];
    if ((call->caller->roles & CONFIG_BOT) != 0 || who->on_behalf_of_count > 0) {
        return err_set(why, ERR_DENIED,
                       "a bot cannot confirm: this is for the person, with a login of their own");
    }
    if (!hash_code(code, hash)) {
        return err_set(why, ERR_NOT_FOUND, "this code is unknown");
    }
    buffer_init(&groups, 1 << 20);
    enum err e = join_groups(who, &groups);
    if (e == OK) {
        link.groups = (const char *)buffer_bytes(&groups).data;
        e = store_link_confirm(call->services->with.store, hash, &link, arena, out);
    }
    buffer_finish(&groups);
    switch (e) {
    case ERR_NOT_FOUND: return err_set(why, e, "this code is unknown");
    case ERR_EXISTS: return err_set(why, ERR_CLOSED, "this code was used before");
    case ERR_TIMEOUT: return err_set(why, ERR_CLOSED, "this code has expired: ask for a new one");
    default: return e;
    }
}

void links_confirm(const struct call *call, const ProtobufCMessage *message,
                   ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__ConfirmLinkRequest *request =
        (const Chaperone__V1__ConfirmLinkRequest *)message;
    Chaperone__V1__ConfirmLinkResponse response = CHAPERONE__V1__CONFIRM_LINK_RESPONSE__INIT;
    Chaperone__V1__ChatAccount account = CHAPERONE__V1__CHAT_ACCOUNT__INIT;
    struct err_text why = {.text = ""};
    struct store_link link;
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : confirm(call, request->code, arena, &link, &why);
    if (e == OK) {
        e = record(call, "link", &link);
        /* What is not recorded does not count. */
        if (e != OK &&
            store_link_remove(call->services->with.store, link.provider, link.account) != OK) {
            log_event(call->services->with.log, LOG_ERROR, "link_not_removed",
                      log_text("provider", link.provider), log_text("account", link.account));
        }
    }
    if (e == OK) {
        fill_account(&link, &account);
        response.account = &account;
        response.expires_unix_ns = link.expires_ns;
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "link_confirm", e, &why, out_status);
    }
    services_log_action(call, "link_confirm", e == OK ? link.account : "",
                        rpc_code_name(out_status->code));
    arena_destroy(arena);
}

/* --- Remove ------------------------------------------------------------------------------------
 */

static enum err drop(const struct call *call, const Chaperone__V1__ChatAccount *account,
                     struct arena *arena, struct err_text *why)
{
    const struct identity *who = call->caller->who;
    struct store *store = call->services->with.store;
    struct store_link link;
    enum err e = check_account(account, why);
    if (e == OK) {
        e = store_link_get(store, account->provider, account->account, arena, &link);
    }
    if (e != OK) {
        return e;
    }
    if ((call->caller->roles & CONFIG_ADMIN) == 0 &&
        (strcmp(link.subject, who->subject) != 0 || strcmp(link.issuer, who->issuer) != 0)) {
        return err_set(why, ERR_DENIED, "this account is linked to somebody else");
    }
    e = record(call, "unlink", &link);
    return e == OK ? store_link_remove(store, account->provider, account->account) : e;
}

void links_remove(const struct call *call, const ProtobufCMessage *message,
                  ProtobufCMessage **out_reply, struct rpc_status *out_status)
{
    const Chaperone__V1__ChatAccount *account =
        ((const Chaperone__V1__RemoveLinkRequest *)message)->account;
    Chaperone__V1__RemoveLinkResponse response = CHAPERONE__V1__REMOVE_LINK_RESPONSE__INIT;
    struct err_text why = {.text = ""};
    struct arena *arena = arena_create(ARENA_BLOCK, ARENA_CAP);
    enum err e = arena == NULL ? ERR_NO_MEMORY : drop(call, account, arena, &why);
    if (e == OK || e == ERR_NOT_FOUND) {
        response.removed = e == OK;
        services_reply(&response.base, out_reply, out_status);
    } else {
        services_set_approval_status(call, "link_remove", e, &why, out_status);
    }
    services_log_action(call, "link_remove", name_of(account), rpc_code_name(out_status->code));
    arena_destroy(arena);
}

/* --- whom an account stands for ----------------------------------------------------------------
 */

static enum err split_groups(char *text, struct arena *arena, struct approvals_person *out)
{
    size_t count = 1;
    for (const char *c = text; *c != '\0'; c++) {
        count += *c == '\n';
    }
    const char **groups = arena_alloc(arena, count * sizeof(*groups));
    if (groups == NULL) {
        return ERR_NO_MEMORY;
    }
    out->group_count = 0;
    for (char *at = text; at != NULL;) {
        groups[out->group_count++] = at;
        at = strchr(at, '\n');
        if (at != NULL) {
            *at++ = '\0';
        }
    }
    out->groups = groups;
    return OK;
}

enum err links_find_person(const struct call *call, const Chaperone__V1__ChatAccount *account,
                           struct arena *arena, struct approvals_person *out, struct err_text *why)
{
    const size_t from_size = PROVIDER_MAX + ACCOUNT_MAX + 256;
    struct store_link link;
    enum err e = check_account(account, why);
    if (e == OK) {
        e = store_link_get(call->services->with.store, account->provider, account->account, arena,
                           &link);
    }
    if (e == ERR_NOT_FOUND || (e == OK && link.expires_ns <= services_now(call->services))) {
        return err_set(why, ERR_DENIED,
                       "this chat account is not linked to a person, or was longer than 30 days "
                       "ago: link it with a login");
    }
    if (e != OK) {
        return e;
    }
    const struct config_identity_provider *provider =
        config_find_provider(snapshot_config(call->snapshot), link.issuer);
    if (provider == NULL || !provider->gives_roles) {
        return err_set(why, ERR_DENIED,
                       "this chat account was linked with a login that counts no more");
    }
    char *from = arena_alloc(arena, from_size);
    char *groups = arena_copy_string(arena, bytes_of_string(link.groups));
    if (from == NULL || groups == NULL) {
        return ERR_NO_MEMORY;
    }
    (void)snprintf(from, from_size, "%s:%s by %.200s", link.provider, link.account,
                   call->peer->address);
    *out = (struct approvals_person){.issuer = link.issuer,
                                     .subject = link.subject,
                                     .name = link.name,
                                     .is_linked = true,
                                     .from = from};
    return split_groups(groups, arena, out);
}
