#include "proxy/base/version.h"

#include <curl/curl.h>
#include <gnutls/gnutls.h>
#include <hiredis/hiredis.h>
#include <jansson.h>
#include <microhttpd.h>
#include <openssl/crypto.h>
#include <wslay/wslay.h>

/* The build takes it from build/deps; empty where the machine's own library is used. */
#ifndef RENEWGATE_LIBMICROHTTPD
#define RENEWGATE_LIBMICROHTTPD ""
#endif

void version_print(FILE *out)
{
    const char *part = RENEWGATE_LIBMICROHTTPD;
    fprintf(out, "renewgate %s\n", RENEWGATE_VERSION);
    if (part[0] != '\0')
        fprintf(out, "  libmicrohttpd %s, part of this binary\n", part);
    else
        fprintf(out, "  libmicrohttpd %s\n", MHD_get_version());
    fprintf(out, "  libcurl %s\n", curl_version_info(CURLVERSION_NOW)->version);
    fprintf(out, "  GnuTLS %s\n", gnutls_check_version(NULL));
    fprintf(out, "  OpenSSL %s\n", OpenSSL_version(OPENSSL_VERSION_STRING));
    fprintf(out, "  jansson %s\n", jansson_version_str());
    fprintf(out, "  hiredis %d.%d.%d\n", HIREDIS_MAJOR, HIREDIS_MINOR, HIREDIS_PATCH);
    fprintf(out, "  wslay %s\n", WSLAY_VERSION);
}
