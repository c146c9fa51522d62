#include "proxy/jobs/alive.h"

#include <string.h>

#include "proxy/admin/probe.h"

#define TIMEOUT_MILLISECONDS 2000

/*
 * What a socket that listens on all addresses can be reached by: "::" takes IPv4, too
 * (proxy/clients/listener.h), and a container may have no other.
 */
static const char *reachable(const char *host)
{
    return strcmp(host, "0.0.0.0") == 0 || strcmp(host, "::") == 0 ? "127.0.0.1" : host;
}

int alive_run(const struct listen_address *admin, FILE *errors)
{
    const char *host = reachable(admin->host);
    bool is_v6 = strchr(host, ':') != NULL;
    struct probe_result result;
    char url[sizeof admin->host + 32];
    snprintf(url, sizeof url, "http://%s%s%s:%u/healthz", is_v6 ? "[" : "", host, is_v6 ? "]" : "",
             admin->port);
    probe_url(url, TIMEOUT_MILLISECONDS, &result);
    bool alive = result.status == 200;
    if (!alive)
        fprintf(errors, "renewgate: %s: %s\n", url,
                result.status == 0 ? result.error : "not the answer of a gate");
    probe_clear(&result);
    return alive ? 0 : 1;
}
