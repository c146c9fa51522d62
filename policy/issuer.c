#include "policy/issuer.h"

#include <stdbool.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "policy/url.h"

/* From the CAs' own documentation, and from certificates that they have issued. */
static const struct known_ca {
    const char *host;
    const char *name;
    const char *organisation; /* how its certificates' begins */
    bool staging;
} known[] = {
    {"acme-v02.api.letsencrypt.org", "Let's Encrypt", "Let's Encrypt", false},
    {"acme-staging-v02.api.letsencrypt.org", "Let's Encrypt's staging", "Let's Encrypt", true},
    {"acme.zerossl.com", "ZeroSSL", "ZeroSSL", false},
    {"dv.acme-v02.api.pki.goog", "Google Trust Services", "Google Trust Services", false},
    {"dv.acme-v02.test-api.pki.goog", "Google Trust Services' staging", "Google", true},
    {"api.buypass.com", "Buypass", "Buypass", false},
    {"api.test4.buypass.no", "Buypass' staging", "Buypass", true},
    {"acme.ssl.com", "SSL.com", "SSL Corp", false},
    {"acme.digicert.com", "DigiCert", "DigiCert", false},
    {"acme.sectigo.com", "Sectigo", "Sectigo", false},
};

/* What issuers for tests say of themselves. */
static const char *const staging_words[] = {"(STAGING)", "Fake LE "};

static const struct known_ca *ca_of(const char *directory)
{
    const char *host = directory ? url_authority(directory) : NULL;

    if (!host)
        return NULL;
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        size_t len = strlen(known[i].host);

        if (url_host_len(host) == len && strncasecmp(host, known[i].host, len) == 0)
            return &known[i];
    }
    return NULL;
}

/* The value of the name's organisation, to the end of the text; NULL where it has none. */
static const char *organisation_in(const char *issuer)
{
    for (const char *at = issuer; (at = strstr(at, "O=")); at += 2) {
        bool begins = at == issuer || strchr(", +/;", at[-1]);

        if (begins)
            return at[2] == '"' ? at + 3 : at + 2;
    }
    return NULL;
}

static bool is_staging(const char *issuer)
{
    for (size_t i = 0; i < sizeof staging_words / sizeof *staging_words; i++) {
        if (strstr(issuer, staging_words[i]))
            return true;
    }
    return false;
}

enum issuer_standing issuer_judge(const char *issuer, const char *directory)
{
    const struct known_ca *ca = ca_of(directory);

    if (!issuer || !issuer[0])
        return ISSUER_UNJUDGED;
    if (is_staging(issuer))
        return ISSUER_STAGING;
    if (!ca)
        return ISSUER_UNJUDGED;

    const char *organisation = organisation_in(issuer);
    if (!organisation || strncasecmp(organisation, ca->organisation, strlen(ca->organisation)) != 0)
        return ISSUER_OTHER;
    return ca->staging ? ISSUER_STAGING : ISSUER_EXPECTED;
}

const char *issuer_of_directory(const char *directory)
{
    const struct known_ca *ca = ca_of(directory);

    return ca ? ca->name : NULL;
}

const char *issuer_standing_name(enum issuer_standing standing)
{
    switch (standing) {
    case ISSUER_UNJUDGED:
        return "unjudged";
    case ISSUER_EXPECTED:
        return "expected";
    case ISSUER_OTHER:
        return "other";
    case ISSUER_STAGING:
        return "staging";
    }
    return "unknown";
}
