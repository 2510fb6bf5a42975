#include "controlplane/approvals/terms.h"

#include "base/crypto/crypto.h"
#include "base/uuid.h"

static const int64_t second_ns = 1000000000;

/* ---- requests -------------------------------------------------------------------------------- */

static bool is_uuid(const char *text)
{
    if (strlen(text) != UUID_TEXT_SIZE - 1) {
        return false;
    }
    for (size_t i = 0; i < UUID_TEXT_SIZE - 1; i++) {
        bool is_dash = i == 8 || i == 13 || i == 18 || i == 23;
        bool is_hex = (text[i] >= '0' && text[i] <= '9') || (text[i] >= 'a' && text[i] <= 'f');
        if (is_dash ? text[i] != '-' : !is_hex) {
            return false;
        }
    }
    return true;
}

static bool is_name(const char *text)
{
    return text[0] != '\0' && strlen(text) <= STORE_NAME_SIZE_MAX;
}

static const char *what_is_wrong_with_terms(const Chaperone__V1__HoldTerms *terms)
{
    if (terms == NULL || terms->n_groups == 0 || terms->n_groups > TERMS_GROUPS_MAX) {
        return "its terms name no approvers";
    }
    for (size_t i = 0; i < terms->n_groups; i++) {
        if (!is_name(terms->groups[i])) {
            return "its terms have an empty group";
        }
    }
    if (terms->people == 0 || terms->people > TERMS_PEOPLE_MAX) {
        return "its terms do not say how many people must agree";
    }
    if (terms->is_retry &&
        (terms->retry_window_s <= 0 || terms->retry_window_s > APPROVALS_LIFETIME_MAX_S)) {
        return "its terms have no window for the agent to come again";
    }
    return NULL;
}

static const char *what_is_wrong(const Chaperone__V1__HeldOperation *held, int64_t lifetime_ms)
{
    if (!is_uuid(held->id)) {
        return "its id is no UUID";
    }
    if (held->session[0] == '\0' || strlen(held->session) > STORE_SESSION_SIZE_MAX) {
        return "it has no session";
    }
    if (held->identity == NULL || !is_name(held->identity->subject) ||
        strlen(held->identity->issuer) > STORE_NAME_SIZE_MAX) {
        return "it does not say whose it is";
    }
    if (!is_name(held->resource) || strlen(held->database) > STORE_NAME_SIZE_MAX) {
        return "it has no resource";
    }
    if (held->intent == NULL || held->intent->rule[0] == '\0') {
        return "it has no intent with a rule";
    }
    if (held->digest.len != STORE_HASH_SIZE) {
        return "its digest is not 32 bytes long";
    }
    if (lifetime_ms <= 0 || lifetime_ms > INT64_C(1000) * APPROVALS_LIFETIME_MAX_S) {
        return "its lifetime is not between a millisecond and 30 days";
    }
    return what_is_wrong_with_terms(held->terms);
}

enum err terms_check_request(const Chaperone__V1__HeldOperation *held, int64_t lifetime_ms,
                             struct err_text *why)
{
    const char *wrong =
        held == NULL ? "there is no operation in it" : what_is_wrong(held, lifetime_ms);
    return wrong == NULL ? OK : err_set(why, ERR_INVALID, "this cannot be held: %s", wrong);
}

/* ---- people ---------------------------------------------------------------------------------- */

static bool is_in_a_group(const Chaperone__V1__HoldTerms *terms,
                          const struct approvals_person *person)
{
    for (size_t i = 0; i < terms->n_groups; i++) {
        for (size_t k = 0; k < person->group_count; k++) {
            if (strcmp(terms->groups[i], person->groups[k]) == 0) {
                return true;
            }
        }
    }
    return false;
}

static bool is_among(Chaperone__V1__Delegate *const *delegates, size_t count, const char *subject)
{
    for (size_t i = 0; i < count; i++) {
        if (strcmp(delegates[i]->subject, subject) == 0) {
            return true;
        }
    }
    return false;
}

/* The agent itself, and all for whom it acts: by its session, and by what the statement says. By
 * their subjects alone: an agent's token and a person's login are often of different issuers, and
 * who is excluded for having somebody else's name does no harm. */
static bool is_requester(const Chaperone__V1__HeldOperation *held, const char *subject)
{
    return strcmp(held->identity->subject, subject) == 0 ||
           is_among(held->on_behalf_of, held->n_on_behalf_of, subject) ||
           is_among(held->intent->on_behalf_of, held->intent->n_on_behalf_of, subject);
}

static bool has_approved(const Chaperone__V1__HeldOperation *held,
                         const struct approvals_person *person)
{
    for (size_t i = 0; i < held->n_decisions; i++) {
        const Chaperone__V1__Identity *by = held->decisions[i]->by;
        if (held->decisions[i]->approve && strcmp(by->subject, person->subject) == 0 &&
            strcmp(by->issuer, person->issuer) == 0) {
            return true;
        }
    }
    return false;
}

static bool is_blank(const char *text)
{
    return text[strspn(text, " \t\r\n")] == '\0';
}

static enum err check_own_login(const struct approvals_person *person, struct err_text *why)
{
    return person->is_delegated
               ? err_set(why, ERR_DENIED,
                         "\"%.100s\" acts for somebody else: a person's own login is needed",
                         person->subject)
               : OK;
}

/* Who it is, whatever they say. */
static enum err check_who(const Chaperone__V1__HeldOperation *held,
                          const struct approvals_person *person, struct err_text *why)
{
    const Chaperone__V1__HoldTerms *terms = held->terms;
    if (!is_in_a_group(terms, person)) {
        return err_set(why, ERR_DENIED,
                       "the rule \"%.64s\" asks for an approver of the group \"%.64s\"%s, and "
                       "\"%.100s\" is in none of them",
                       held->intent->rule, terms->groups[0],
                       terms->n_groups > 1 ? " or another one that it names" : "", person->subject);
    }
    if (terms->excludes_requester && is_requester(held, person->subject)) {
        return err_set(why, ERR_DENIED,
                       "the rule \"%.64s\" excludes who asks: \"%.100s\" is the agent itself, or "
                       "one that it acts for",
                       held->intent->rule, person->subject);
    }
    enum err err = check_own_login(person, why);
    if (err == OK && terms->forbids_linked && person->is_linked) {
        return err_set(why, ERR_DENIED,
                       "the rule \"%.64s\" forbids decisions through a linked chat account: "
                       "decide with a login of your own",
                       held->intent->rule);
    }
    return err;
}

enum err terms_check_revoker(const Chaperone__V1__HeldOperation *held,
                             const struct approvals_person *person, struct err_text *why)
{
    return person->is_admin ? check_own_login(person, why) : check_who(held, person, why);
}

enum err terms_check_person(const Chaperone__V1__HeldOperation *held,
                            const struct approvals_person *person,
                            const Chaperone__V1__DecideRequest *request, struct err_text *why)
{
    const Chaperone__V1__HoldTerms *terms = held->terms;
    enum err err = check_who(held, person, why);
    if (err != OK) {
        return err;
    }
    if (request->approve && has_approved(held, person)) {
        return err_set(why, ERR_DENIED,
                       "\"%.100s\" has approved it already: a person counts once, and %u must "
                       "agree",
                       person->subject, terms->people);
    }
    if (terms->needs_reason && is_blank(request->reason)) {
        return err_set(why, ERR_INVALID, "the rule \"%.64s\" asks for a reason",
                       held->intent->rule);
    }
    return OK;
}

bool terms_are_met(const Chaperone__V1__HeldOperation *held)
{
    size_t people = 0;
    for (size_t i = 0; i < held->n_decisions; i++) {
        const Chaperone__V1__Decision *d = held->decisions[i];
        bool is_first = d->approve;
        for (size_t k = 0; is_first && k < i; k++) {
            const Chaperone__V1__Decision *before = held->decisions[k];
            is_first = !before->approve || strcmp(before->by->subject, d->by->subject) != 0 ||
                       strcmp(before->by->issuer, d->by->issuer) != 0;
        }
        people += is_first;
    }
    return people >= held->terms->people;
}

/* ---- standing approvals ---------------------------------------------------------------------- */

enum err terms_check_standing(const Chaperone__V1__HeldOperation *held,
                              const Chaperone__V1__Standing *standing, int64_t now_ns,
                              struct err_text *why)
{
    const Chaperone__V1__StandingTerms *terms = held->terms->standing;
    if (terms == NULL || terms->seconds_max <= 0) {
        return err_set(why, ERR_DENIED, "the rule \"%.64s\" allows no standing approvals",
                       held->intent->rule);
    }
    if (held->shape[0] == '\0') {
        return err_set(why, ERR_DENIED,
                       "this operation has no shape that a later one could be compared with");
    }
    if (standing->until_unix_ns <= now_ns) {
        return err_set(why, ERR_INVALID, "a standing approval ends at a moment in the future");
    }
    if ((standing->until_unix_ns - now_ns) / second_ns > terms->seconds_max) {
        return err_set(why, ERR_DENIED,
                       "the rule \"%.64s\" allows a standing approval of at most %lld seconds",
                       held->intent->rule, (long long)terms->seconds_max);
    }
    if (terms->uses_max > 0 && (standing->uses == 0 || standing->uses > terms->uses_max)) {
        return err_set(why, ERR_DENIED,
                       "the rule \"%.64s\" allows a standing approval of at most %u uses",
                       held->intent->rule, terms->uses_max);
    }
    return OK;
}

/* With its length before it, so that no two lists of texts give the same bytes. */
static void add(struct crypto_sha256 *hash, struct bytes part)
{
    uint8_t size[8];
    for (size_t i = 0; i < sizeof(size); i++) {
        size[i] = (uint8_t)((uint64_t)part.size >> (56 - 8 * i));
    }
    crypto_sha256_update(hash, bytes_of(size, sizeof(size)));
    crypto_sha256_update(hash, part);
}

static void add_text(struct crypto_sha256 *hash, const char *text)
{
    add(hash, bytes_of_string(text));
}

static void add_number(struct crypto_sha256 *hash, int64_t n)
{
    uint8_t bytes[8];
    for (size_t i = 0; i < sizeof(bytes); i++) {
        bytes[i] = (uint8_t)((uint64_t)n >> (56 - 8 * i));
    }
    add(hash, bytes_of(bytes, sizeof(bytes)));
}

static void add_delegates(struct crypto_sha256 *hash, Chaperone__V1__Delegate *const *delegates,
                          size_t count)
{
    add_number(hash, (int64_t)count);
    for (size_t i = 0; i < count; i++) {
        add_text(hash, delegates[i]->issuer);
        add_text(hash, delegates[i]->subject);
        add_number(hash, delegates[i]->assurance);
    }
}

static void add_terms(struct crypto_sha256 *hash, const Chaperone__V1__HoldTerms *terms)
{
    add_number(hash, (int64_t)terms->n_groups);
    for (size_t i = 0; i < terms->n_groups; i++) {
        add_text(hash, terms->groups[i]);
    }
    add_number(hash, terms->people);
    add_number(hash, terms->excludes_requester);
    add_number(hash, terms->needs_reason);
    add_number(hash, terms->forbids_linked);
    add_number(hash, terms->standing == NULL ? -1 : terms->standing->seconds_max);
    add_number(hash, terms->standing == NULL ? -1 : (int64_t)terms->standing->uses_max);
}

void terms_make_key(const Chaperone__V1__HeldOperation *held, uint8_t out[STORE_HASH_SIZE])
{
    struct crypto_sha256 hash;
    crypto_sha256_init(&hash);
    add_text(&hash, "chaperone standing v1");
    add_text(&hash, held->shape);
    add_text(&hash, held->identity->issuer);
    add_text(&hash, held->identity->subject);
    add_delegates(&hash, held->on_behalf_of, held->n_on_behalf_of);
    add_delegates(&hash, held->intent->on_behalf_of, held->intent->n_on_behalf_of);
    add_text(&hash, held->resource);
    add_text(&hash, held->protocol);
    add_text(&hash, held->database);
    add_text(&hash, held->target_user);
    add_text(&hash, held->intent->rule);
    add_terms(&hash, held->terms);
    crypto_sha256_finish(&hash, out);
}
