#include "policy/issuer.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#define LE "https://acme-v02.api.letsencrypt.org/directory"
#define STAGING "https://acme-staging-v02.api.letsencrypt.org/directory"
#define ZERO "https://acme.zerossl.com/v2/DV90"
#define SECTIGO "https://acme.sectigo.com/v2/"

static void judges_only_by_well_known_directories(void **state)
{
    (void)state;
    static const struct {
        const char *issuer, *directory;
        enum issuer_standing standing;
    } rows[] = {
        {"C=US, O=Let's Encrypt, CN=R11", LE, ISSUER_EXPECTED},
        {"CN=R11,O=Let's Encrypt,C=US", LE, ISSUER_EXPECTED},
        {"O=Let's Encrypt", "HTTPS://ACME-V02.api.letsencrypt.org:443/directory", ISSUER_EXPECTED},
        {"C=AT, O=ZeroSSL, CN=ZeroSSL ECC Domain Secure Site CA", ZERO, ISSUER_EXPECTED},
        {"C=AT, O=ZeroSSL, CN=ZeroSSL ECC Domain Secure Site CA", LE, ISSUER_OTHER},
        {"C=US, O=Let's Encrypt, CN=R11", ZERO, ISSUER_OTHER},
        {"C=US, O=\"DigiCert, Inc.\", CN=RapidSSL", "https://acme.digicert.com/v2/acme/directory/",
         ISSUER_EXPECTED},
        {"CN=Example Internal CA", LE, ISSUER_OTHER},
        {"C=GB, O=Sectigo Limited, CN=X", SECTIGO "OV", ISSUER_EXPECTED},
        {"C=NL, O=GEANT Vereniging, CN=GEANT OV RSA CA 4", SECTIGO "GEANTOV", ISSUER_UNJUDGED},
        {"CN=FOO=Let's Encrypt", LE, ISSUER_OTHER},
        {"C=US, O=Let's Encrypt, CN=(STAGING) Wannabe Watercress R11", STAGING, ISSUER_STAGING},
        {"C=US, O=(STAGING) Let's Encrypt, CN=(STAGING) Artificial Apricot R3", LE, ISSUER_STAGING},
        {"CN=Fake LE Intermediate X1", "https://localhost/dir", ISSUER_STAGING},
        {"C=US, O=Let's Encrypt, CN=R11", STAGING, ISSUER_STAGING},
        {"CN=Pebble Intermediate CA 57f70a", "https://localhost:14001/dir", ISSUER_UNJUDGED},
        {"C=US, O=Let's Encrypt, CN=R11", "https://acme.example.org/directory", ISSUER_UNJUDGED},
        {"C=US, O=Let's Encrypt, CN=R11", "https://acme-v02.api.letsencrypt.org.example/directory",
         ISSUER_UNJUDGED},
        {"C=US, O=Let's Encrypt, CN=R11", "acme-v02.api.letsencrypt.org", ISSUER_UNJUDGED},
        {"C=US, O=Let's Encrypt, CN=R11", NULL, ISSUER_UNJUDGED},
        {"", LE, ISSUER_UNJUDGED},
        {NULL, LE, ISSUER_UNJUDGED},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (issuer_judge(rows[i].issuer, rows[i].directory) != rows[i].standing)
            fail_msg("%s of %s", rows[i].issuer, rows[i].directory);
    }
}

static void another_ca_is_one_for_certain(void **state)
{
    (void)state;
    static const struct {
        const char *issuer, *directory;
        bool other;
    } rows[] = {
        {"C=US, O=Let's Encrypt, CN=R11", LE, false},
        {"C=AT, O=ZeroSSL, CN=ZeroSSL ECC Domain Secure Site CA", LE, true},
        {"C=US, O=Let's Encrypt, CN=R11", ZERO, true},
        {"C=US, O=(STAGING) Let's Encrypt, CN=(STAGING) Artificial Apricot R3", LE, true},
        {"CN=Fake LE Intermediate X1", LE, true},
        /* Some CAs issue in the names of others, too. */
        {"C=NL, O=GEANT Vereniging, CN=GEANT OV RSA CA 4", SECTIGO "GEANTOV", false},
        {"C=US, O=Internet2, CN=InCommon RSA Server CA 2", SECTIGO "InCommonRSAOV", false},
        /* What names no organisation, or is cut short in it, may be anybody's. */
        {"CN=Example Internal CA", LE, false},
        {"CN=R11, C=US, O=Let's Enc", LE, false},
        {"CN=R11, C=US, O=", LE, false},
        {"", LE, false},
        {NULL, LE, false},
        /* By their organisation, a CA's certificates for tests cannot be told from the others. */
        {"C=US, O=Let's Encrypt, CN=R11", STAGING, false},
        {"C=US, O=Let's Encrypt, CN=R11", "https://localhost/dir", false},
        {"CN=Fake LE Intermediate X1", "https://localhost/dir", false},
        {"C=US, O=Let's Encrypt, CN=R11", NULL, false},
    };

    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        if (issuer_is_other(rows[i].issuer, rows[i].directory) != rows[i].other)
            fail_msg("%s of %s", rows[i].issuer, rows[i].directory);
    }
}

static void a_ca_is_its_directorys_host(void **state)
{
    (void)state;
    uint64_t le = issuer_authority(LE);

    assert_true(issuer_authority("HTTPS://ACME-V02.api.letsencrypt.org:443/other?x") == le);
    assert_true(issuer_authority(STAGING) != le);
    assert_true(issuer_authority("https://localhost:14000/dir") !=
                issuer_authority("https://localhost:14001/dir"));
    assert_true(issuer_authority("https://:443") == issuer_authority("https://"));
    assert_true(issuer_authority(NULL) != 0 && issuer_authority("") == issuer_authority(NULL));
}

static void names_the_ca_of_a_directory(void **state)
{
    (void)state;
    assert_string_equal(issuer_of_directory(LE), "Let's Encrypt");
    assert_null(issuer_of_directory("https://localhost/dir"));
    assert_null(issuer_of_directory(NULL));
}

int main(void)
{
    const struct CMUnitTest tests[] = {
        cmocka_unit_test(another_ca_is_one_for_certain),
        cmocka_unit_test(a_ca_is_its_directorys_host),
        cmocka_unit_test(judges_only_by_well_known_directories),
        cmocka_unit_test(names_the_ca_of_a_directory),
    };

    return cmocka_run_group_tests(tests, NULL, NULL);
}
