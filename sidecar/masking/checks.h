/* Whether what looks like a secret is one: checksums and ranges. Pure. */
#ifndef CHAPERONE_SIDECAR_MASKING_CHECKS_H
#define CHAPERONE_SIDECAR_MASKING_CHECKS_H

#include "base/bytes.h"

/* Where each takes digits, they are ASCII digits only, of any number. */
bool check_luhn(struct bytes digits);  /* ISO/IEC 7812-1 annex B */
bool check_card(struct bytes digits);  /* 13 to 19 digits of a known issuer range, Luhn */
bool check_iban(struct bytes compact); /* ISO 13616: the country's length, mod 97; any case */
size_t check_iban_length(struct bytes country); /* of the two letters' IBANs; 0: none known */
bool check_ssn(struct bytes digits);            /* nine: the ranges that are given out */
bool check_dni(struct bytes compact);           /* Spain: DNI and NIE, nine characters, any case */
bool check_codice_fiscale(struct bytes code);   /* Italy: 16 characters, any case */
bool check_steuer_id(struct bytes digits);      /* Germany: eleven, ISO 7064 MOD 11,10 */
bool check_ahv(struct bytes digits);            /* Switzerland: thirteen, EAN-13 */

#endif
