#include "policy/issuer.h"

#include <ctype.h>
#include <stddef.h>
#include <string.h>
#include <strings.h>

#include "policy/hash.h"
#include "policy/url.h"

/* From the CAs' own documentation, and from certificates that they have issued. */
static const struct known_ca {
    const char *host;
    const char *name;
    const char *organisation; /* how its certificates' begins */
    bool staging;
    bool lends; /* it issues in the names of others, too: universities' networks, resellers */
} known[] = {
    {"acme-v02.api.letsencrypt.org", "Let's Encrypt", "Let's Encrypt", false, false},
    {"acme-staging-v02.api.letsencrypt.org", "Let's Encrypt's staging", "Let's Encrypt", true,
     false},
    {"acme.zerossl.com", "ZeroSSL", "ZeroSSL", false, false},
    {"dv.acme-v02.api.pki.goog", "Google Trust Services", "Google Trust Services", false, false},
    {"dv.acme-v02.test-api.pki.goog", "Google Trust Services' staging", "Google", true, false},
    {"api.buypass.com", "Buypass", "Buypass", false, false},
    {"api.test4.buypass.no", "Buypass' staging", "Buypass", true, false},
    {"acme.ssl.com", "SSL.com", "SSL Corp", false, false},
    {"acme.digicert.com", "DigiCert", "DigiCert", false, false},
    {"acme.sectigo.com", "Sectigo", "Sectigo", false, true},
};

/* What issuers for tests say of themselves. */
static const char *const staging_words[] = {"(STAGING)", "Fake LE "};

static const char *host_of(const char *directory, size_t *len)
{
    const char *host = directory ? url_authority(directory) : NULL;

    host = host ? host : "";
    *len = url_host_len(host);
    return host;
}

static const struct known_ca *ca_of(const char *directory)
{
    size_t len;
    const char *host = host_of(directory, &len);

    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        if (strlen(known[i].host) == len && strncasecmp(host, known[i].host, len) == 0)
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

/* The text may be cut short. */
static bool may_be_of(const char *organisation, const struct known_ca *ca)
{
    return strncasecmp(organisation, ca->organisation, strlen(organisation)) == 0;
}

static bool is_of(const char *organisation, const struct known_ca *ca)
{
    return strncasecmp(organisation, ca->organisation, strlen(ca->organisation)) == 0;
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
    if (!organisation || !is_of(organisation, ca))
        return ca->lends ? ISSUER_UNJUDGED : ISSUER_OTHER;
    return ca->staging ? ISSUER_STAGING : ISSUER_EXPECTED;
}

bool issuer_is_other(const char *issuer, const char *directory)
{
    const struct known_ca *ca = ca_of(directory);
    const char *organisation = issuer ? organisation_in(issuer) : NULL;

    return ca && !ca->staging && issuer &&
           (is_staging(issuer) || (!ca->lends && organisation && !is_of(organisation, ca) &&
                                   !may_be_of(organisation, ca)));
}

uint64_t issuer_authority(const char *directory)
{
    static const char usual_port[] = ":443";
    size_t len;
    const char *host = host_of(directory, &len);
    uint64_t hash = HASH_BEGIN;

    len += strcspn(host + len, "/?#");
    if (len >= sizeof usual_port - 1 && strncmp(host + len - 4, usual_port, 4) == 0)
        len -= 4;
    for (size_t i = 0; i < len; i++) {
        unsigned char letter = (unsigned char)tolower((unsigned char)host[i]);
        hash = hash_add(hash, &letter, 1);
    }
    return hash ? hash : 1;
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
