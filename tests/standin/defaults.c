#include "tests/standin/defaults.h"
#include "tests/standin/clock.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* clang-format off */
static const char capabilities_text[] =
    "{\"urn:ietf:params:jmap:core\":{\"maxSizeUpload\":50000000,\"maxConcurrentUpload\":4"
    ",\"maxSizeRequest\":10000000,\"maxConcurrentRequests\":4,\"maxCallsInRequest\":16,\""
    "maxObjectsInGet\":500,\"maxObjectsInSet\":500,\"collationAlgorithms\":[\"i;ascii-num"
    "eric\",\"i;ascii-casemap\",\"i;unicode-casemap\"]},\"urn:ietf:params:jmap:mail\":{},"
    "\"urn:ietf:params:jmap:calendars\":{},\"urn:ietf:params:jmap:calendars:parse\":{},\""
    "urn:ietf:params:jmap:contacts\":{},\"urn:ietf:params:jmap:contacts:parse\":{},\"urn:"
    "ietf:params:jmap:filenode\":{},\"urn:ietf:params:jmap:principals\":{},\"urn:ietf:par"
    "ams:jmap:principals:availability\":{},\"urn:ietf:params:jmap:submission\":{},\"urn:i"
    "etf:params:jmap:vacationresponse\":{},\"urn:ietf:params:jmap:sieve\":{\"implementati"
    "on\":\"Stalwart v1.0.0\"},\"urn:ietf:params:jmap:blob\":{},\"urn:ietf:params:jmap:qu"
    "ota\":{},\"urn:ietf:params:jmap:emailpush\":{},\"urn:ietf:params:jmap:webpush-vapid\""
    ":{\"applicationServerKey\":\"BMXvgZ-X-sx0ykDzqdFpiWlUQiAIi9X7Bj34rofRbxv8h0jJyx5nJ_a"
    "7lxgFLH3nypr79ew1v5p62wT70M73tFs\"},\"urn:ietf:params:jmap:websocket\":{\"url\":\"ws"
    "s://mail.example.org/jmap/ws\",\"supportsPush\":true}}";
static const char account_text[] =
    "{\"urn:ietf:params:jmap:mail\":{\"maxMailboxesPerEmail\":null,\"maxMailboxDepth\":10"
    ",\"maxSizeMailboxName\":255,\"maxSizeAttachmentsPerEmail\":50000000,\"emailQuerySort"
    "Options\":[\"receivedAt\",\"size\",\"from\",\"to\",\"subject\",\"sentAt\",\"hasKeywo"
    "rd\",\"allInThreadHaveKeyword\",\"someInThreadHaveKeyword\"],\"mayCreateTopLevelMail"
    "box\":true},\"urn:ietf:params:jmap:submission\":{\"maxDelayedSend\":2592000,\"submis"
    "sionExtensions\":{\"FUTURERELEASE\":[],\"SIZE\":[],\"DSN\":[],\"DELIVERYBY\":[],\"MT"
    "-PRIORITY\":[\"MIXER\"],\"REQUIRETLS\":[]}},\"urn:ietf:params:jmap:vacationresponse\""
    ":{},\"urn:ietf:params:jmap:contacts\":{\"maxAddressBooksPerCard\":null,\"mayCreateAd"
    "dressBook\":true},\"urn:ietf:params:jmap:contacts:parse\":{},\"urn:ietf:params:jmap:"
    "calendars\":{\"maxCalendarsPerEvent\":null,\"minDateTime\":\"0001-01-01T00:00:00Z\","
    "\"maxDateTime\":\"9999-12-31T23:59:59Z\",\"maxExpandedQueryDuration\":\"P52W1D\",\"m"
    "axParticipantsPerEvent\":20,\"mayCreateCalendar\":true},\"urn:ietf:params:jmap:calen"
    "dars:parse\":{},\"urn:ietf:params:jmap:websocket\":{},\"urn:ietf:params:jmap:sieve\""
    ":{\"maxSizeScriptName\":512,\"maxSizeScript\":102400,\"maxNumberScripts\":100,\"maxN"
    "umberRedirects\":1,\"sieveExtensions\":[\"body\",\"comparator-elbonia\",\"comparator"
    "-i;ascii-casemap\",\"comparator-i;ascii-numeric\",\"comparator-i;octet\",\"convert\""
    ",\"copy\",\"date\",\"duplicate\",\"editheader\",\"enclose\",\"encoded-character\",\""
    "enotify\",\"envelope\",\"envelope-deliverby\",\"envelope-dsn\",\"environment\",\"ere"
    "ject\",\"extlists\",\"extracttext\",\"fcc\",\"fileinto\",\"foreverypart\",\"ihave\","
    "\"imap4flags\",\"imapsieve\",\"include\",\"index\",\"mailbox\",\"mailboxid\",\"mboxm"
    "etadata\",\"mime\",\"redirect-deliverby\",\"redirect-dsn\",\"regex\",\"reject\",\"re"
    "lational\",\"replace\",\"servermetadata\",\"spamtest\",\"spamtestplus\",\"special-us"
    "e\",\"subaddress\",\"vacation\",\"vacation-seconds\",\"variables\",\"virustest\"],\""
    "notificationMethods\":[\"mailto\"],\"externalLists\":null},\"urn:ietf:params:jmap:bl"
    "ob\":{\"maxSizeBlobSet\":7499488,\"maxDataSources\":16,\"supportedTypeNames\":[\"Ema"
    "il\",\"Thread\",\"SieveScript\"],\"supportedDigestAlgorithms\":[\"sha\",\"sha-256\","
    "\"sha-512\"]}}";
static const char account_more_text[] =
    "{\"urn:ietf:params:jmap:quota\":{},\"urn:ietf:params:jmap:principals\":{},\"urn:ietf"
    ":params:jmap:principals:availability\":{\"maxAvailabilityDuration\":\"P52W1D\"},\"ur"
    "n:ietf:params:jmap:filenode\":{\"maxFileNodeDepth\":null,\"maxSizeFileNodeName\":255"
    ",\"forbiddenNameChars\":\"/<>:\\\"\\\\|?*\",\"forbiddenNodeNames\":[\".\",\"..\",\"C"
    "ON\",\"PRN\",\"AUX\",\"NUL\",\"COM0\",\"COM1\",\"COM2\",\"COM3\",\"COM4\",\"COM5\",\""
    "COM6\",\"COM7\",\"COM8\",\"COM9\",\"LPT0\",\"LPT1\",\"LPT2\",\"LPT3\",\"LPT4\",\"LPT"
    "5\",\"LPT6\",\"LPT7\",\"LPT8\",\"LPT9\"],\"fileNodeQuerySortOptions\":[\"name\",\"si"
    "ze\",\"nodeType\"],\"mayCreateTopLevelFileNode\":true,\"caseInsensitiveNames\":false"
    ",\"webTrashUrl\":null,\"webUrlTemplate\":null,\"webWriteUrlTemplate\":null},\"urn:ie"
    "tf:params:jmap:mail:share\":{},\"urn:stalwart:jmap\":{},\"urn:ietf:params:jmap:email"
    "push\":{}}";
static const char settings_text[] =
    "{\"defaultHostname\":\"\",\"defaultDomainId\":\"p333333333333\",\"defaultCertificate"
    "Id\":null,\"threadPoolSize\":null,\"maxConnections\":8192,\"proxyTrustedNetworks\":{"
    "},\"mailExchangers\":{\"0\":{\"hostname\":null,\"priority\":10}},\"services\":{\"cal"
    "dav\":{\"hostname\":null,\"cleartext\":false},\"carddav\":{\"hostname\":null,\"clear"
    "text\":false},\"imap\":{\"hostname\":null,\"cleartext\":false},\"jmap\":{\"hostname\""
    ":null,\"cleartext\":false},\"managesieve\":{\"hostname\":null,\"cleartext\":false},\""
    "pop3\":{\"hostname\":null,\"cleartext\":false},\"smtp\":{\"hostname\":null,\"clearte"
    "xt\":false},\"webdav\":{\"hostname\":null,\"cleartext\":false}},\"providerInfo\":{}}";
static const char http_text[] =
    "{\"rateLimitAuthenticated\":{\"count\":1000,\"period\":60000},\"rateLimitAnonymous\""
    ":{\"count\":100,\"period\":60000},\"allowedEndpoints\":{\"match\":{},\"else\":\"200\""
    "},\"enableHsts\":false,\"usePermissiveCors\":false,\"responseHeaders\":{},\"useXForw"
    "arded\":false,\"redirectRoot\":\"/account\"}";
static const char domain_text[] =
    "{\"aliases\":{},\"isEnabled\":true,\"description\":null,\"logo\":null,\"dkimManageme"
    "nt\":{\"algorithms\":{\"Dkim1Ed25519Sha256\":true,\"Dkim1RsaSha256\":true},\"selecto"
    "rTemplate\":\"v{version}-{algorithm}-{date-%Y%m%d}\",\"rotateAfter\":7776000000,\"re"
    "tireAfter\":604800000,\"deleteAfter\":2592000000,\"@type\":\"Automatic\"},\"dnsManag"
    "ement\":{\"@type\":\"Manual\"},\"memberTenantId\":null,\"directoryId\":null,\"catchA"
    "llAddress\":null,\"subAddressing\":{\"@type\":\"Enabled\"},\"allowRelaying\":false,\""
    "reportAddressUri\":\"mailto:postmaster\"}";
static const char state_text[] =
    "{\"public_url\":\"https://mail.example.org\",\"hostname\":\"mail.example.org\",\"pro"
    "viders\":[{\"id\":\"jp173noyaiqa\",\"challengeType\":\"Http01\",\"contact\":{\"mailt"
    "o:ops@example.org\":true},\"directory\":\"https://localhost:14001/dir\",\"accountUri"
    "\":\"https://localhost:14001/my-account/5786438e779448c1\",\"renewBefore\":\"R23\",\""
    "maxRetries\":10,\"memberTenantId\":null}],\"domains\":[],\"certificates\":[],\"tasks"
    "\":[],\"users\":[{\"name\":\"admin\",\"password\":\"secret\",\"permissions\":\"all\""
    ",\"accountId\":\"d333333\"},{\"name\":\"reader\",\"password\":\"secret\",\"accountId"
    "\":\"d\",\"permissions\":[\"authenticate\",\"jmapCoreEcho\",\"sysDomainGet\",\"sysDo"
    "mainQuery\",\"sysAcmeProviderGet\",\"sysAcmeProviderQuery\",\"sysSystemSettingsGet\""
    ",\"sysCertificateGet\",\"sysCertificateQuery\",\"sysTaskGet\",\"sysTaskQuery\",\"sys"
    "TaskCreate\"]},{\"name\":\"blind\",\"password\":\"secret\",\"accountId\":\"c\",\"per"
    "missions\":[\"authenticate\",\"sysTaskCreate\",\"taskAcmeRenewal\"]}],\"ca\":{},\"ru"
    "nner\":{\"enabled\":false,\"order_seconds\":0,\"gap_seconds\":0}}";
/* clang-format on */

static json_t *parse(const char *text)
{
    json_t *value = json_loads(text, 0, NULL);
    if (!value)
        abort();
    return value;
}

json_t *defaults_domain(void)
{
    return parse(domain_text);
}

json_t *defaults_state(enum version version)
{
    json_t *state = parse(state_text);
    json_object_set_new(state, "settings", parse(settings_text));
    json_object_set_new(state, "http", parse(http_text));
    if (version == VERSION_0_16_18) {
        json_t *provider = json_array_get(json_object_get(state, "providers"), 0);
        json_object_set_new(provider, "preferredChain", json_null());
        json_object_set_new(provider, "reuseKey", json_false());
    }
    return state;
}

json_t *defaults_permissions(void)
{
    static const char *const objects[] = {"Task",        "Domain", "AcmeProvider", "SystemSettings",
                                          "Certificate", "Http",   "ClusterNode"};
    static const char *const verbs[] = {"Get", "Query", "Create", "Update", "Destroy"};
    json_t *names = json_pack("[s,s,s,s,s]", "authenticate", "jmapCoreEcho", "taskAcmeRenewal",
                              "taskDkimManagement", "taskDnsManagement");
    for (size_t i = 0; i < sizeof objects / sizeof *objects; i++) {
        for (size_t j = 0; j < sizeof verbs / sizeof *verbs; j++) {
            char name[64];
            snprintf(name, sizeof name, "sys%s%s", objects[i], verbs[j]);
            json_array_append_new(names, json_string(name));
        }
    }
    return names;
}

const char *session_state(enum version version)
{
    return version == VERSION_0_16_5 ? "b6a4e5a6" : "ca01fed4";
}

/* v0.16.5 had fewer capabilities, and a year that no other software can read. */
static void make_older(json_t *capabilities, json_t *account)
{
    json_object_del(capabilities, "urn:ietf:params:jmap:emailpush");
    json_object_del(capabilities, "urn:ietf:params:jmap:webpush-vapid");
    json_object_del(account, "urn:ietf:params:jmap:emailpush");
    json_t *calendars = json_object_get(account, "urn:ietf:params:jmap:calendars");
    json_object_set_new(calendars, "maxDateTime", json_string("65534-12-31T23:59:59Z"));
    json_t *files = json_object_get(account, "urn:ietf:params:jmap:filenode");
    json_object_set_new(files, "fileNodeQuerySortOptions", json_array());
    static const char *const absent[] = {"forbiddenNameChars",   "forbiddenNodeNames",
                                         "caseInsensitiveNames", "webTrashUrl",
                                         "webUrlTemplate",       "webWriteUrlTemplate"};
    for (size_t i = 0; i < sizeof absent / sizeof *absent; i++)
        json_object_del(files, absent[i]);
}

static void set_url(json_t *object, const char *key, const char *base, const char *path)
{
    json_object_set_new(object, key, json_sprintf("%s%s", base, path));
}

json_t *session_resource(enum version version, const struct user *user, const char *public_url)
{
    json_t *capabilities = parse(capabilities_text);
    json_t *account = parse(account_text);
    json_t *more = parse(account_more_text);
    json_object_update(account, more);
    json_decref(more);
    if (version == VERSION_0_16_5)
        make_older(capabilities, account);
    json_t *core = json_object_get(capabilities, "urn:ietf:params:jmap:core");
    json_object_set_new(core, "maxObjectsInGet", json_integer(store.objects_max));
    json_object_set_new(core, "maxObjectsInSet", json_integer(store.objects_max));
    json_t *websocket = json_object_get(capabilities, "urn:ietf:params:jmap:websocket");
    bool plain = strncmp(public_url, "http://", 7) == 0;
    const char *authority = strstr(public_url, "://");
    json_object_set_new(
        websocket, "url",
        json_sprintf("%s://%s/jmap/ws", plain ? "ws" : "wss", authority ? authority + 3 : ""));

    json_t *accounts = json_object();
    json_t *primary = json_object();
    if (user) {
        const char *key;
        json_t *value;
        json_object_set_new(json_object_get(account, "urn:ietf:params:jmap:principals"),
                            "currentUserPrincipalId", json_string(user->account_text));
        json_object_foreach(account, key, value)
        {
            json_object_set_new(primary, key, json_string(user->account_text));
        }
        json_object_set_new(accounts, user->account_text,
                            json_pack("{s:s, s:b, s:b, s:O}", "name", user->name, "isPersonal", 1,
                                      "isReadOnly", 0, "accountCapabilities", account));
    }
    json_decref(account);
    json_t *session =
        json_pack("{s:o, s:o, s:o, s:s}", "capabilities", capabilities, "accounts", accounts,
                  "primaryAccounts", primary, "username", user ? user->name : "");
    set_url(session, "apiUrl", public_url, "/jmap/");
    set_url(session, "downloadUrl", public_url,
            "/jmap/download/{accountId}/{blobId}/{name}?accept={type}");
    set_url(session, "uploadUrl", public_url, "/jmap/upload/{accountId}/");
    set_url(session, "eventSourceUrl", public_url,
            "/jmap/eventsource/?types={types}&closeafter={closeafter}&ping={ping}");
    json_object_set_new(session, "state", json_string(user ? session_state(version) : "0"));
    return session;
}
