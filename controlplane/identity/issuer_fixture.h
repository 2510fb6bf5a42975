/* An issuer that signs tokens with its first key, and a verifier that trusts it. What fails, fails
 * the test. */
#ifndef CHAPERONE_CONTROLPLANE_IDENTITY_ISSUER_FIXTURE_H
#define CHAPERONE_CONTROLPLANE_IDENTITY_ISSUER_FIXTURE_H

#include "controlplane/identity/fake_issuer.h"

struct fixture {
    struct fake_issuer issuer;
    struct identity_verifier *verifier;
    struct err_text why;
    EVP_PKEY *first, *second;
};

int issuer_setup(void **state);
int issuer_teardown(void **state);
#define ISSUER_TEST(name) cmocka_unit_test_setup_teardown(name, issuer_setup, issuer_teardown)

/* As the verifier has it. */
struct identity_provider_config issuer_config(void);
/* The issuer's keys are now these, called "first" and "second"; NULL: it has it not. */
void issuer_publish(struct fixture *f, EVP_PKEY *first, EVP_PKEY *second);
/* A token that is signed with the key, said to be `kid`. */
enum err issuer_verify(struct fixture *f, EVP_PKEY *key, const char *kid);
/* The last error says that. */
void issuer_assert_why(const struct fixture *f, const char *expected);

#endif
