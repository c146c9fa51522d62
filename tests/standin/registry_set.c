/* x:Certificate/set, x:AcmeProvider/set and x:SystemSettings/set: what a renewal rests on besides
 * the domain. */
#include "tests/standin/api.h"
#include "tests/standin/clock.h"
#include "tests/standin/ids.h"
#include "tests/standin/patch.h"
#include "tests/standin/render.h"

#include <openssl/asn1.h>
#include <openssl/pem.h>
#include <openssl/x509v3.h>
#include <stdlib.h>
#include <string.h>

/* Each gives an error, or NULL where it was done. One that is NULL itself is not for clients. */
struct verbs {
    json_t *(*create)(const json_t *object, uint64_t *id);
    json_t *(*update)(uint64_t id, const json_t *patch);
    json_t *(*destroy)(uint64_t id);
};

static json_t *refuse(void)
{
    return api_error("forbidden", NULL);
}

/* As every registry set: creates, then updates, then what is destroyed. */
static json_t *set_objects(struct api_call *call, const struct verbs *verbs)
{
    static const char *const members[] = {"created",    "updated",    "destroyed",
                                          "notCreated", "notUpdated", "notDestroyed"};
    json_t *created = json_object(), *updated = json_object(), *destroyed = json_array();
    json_t *not_created = json_object(), *not_updated = json_object(),
           *not_destroyed = json_object();
    const char *key;
    json_t *value, *error;
    uint64_t id;
    char text[ID_TEXT];
    size_t i;
    json_object_foreach(json_object_get(call->args, "create"), key, value)
    {
        if ((error = verbs->create ? verbs->create(value, &id) : refuse()))
            json_object_set_new(not_created, key, error);
        else
            json_object_set_new(created, key, json_pack("{s:o}", "id", render_id(id)));
    }
    json_object_foreach(json_object_get(call->args, "update"), key, value)
    {
        if (!id_parse(key, &id))
            continue;
        id_format(id, text);
        if ((error = verbs->update(id, value)))
            json_object_set_new(not_updated, text, error);
        else
            json_object_set_new(updated, text, json_null());
    }
    json_array_foreach(json_object_get(call->args, "destroy"), i, value)
    {
        if (!json_is_string(value) || !id_parse(json_string_value(value), &id))
            continue;
        id_format(id, text);
        if ((error = verbs->destroy ? verbs->destroy(id) : refuse()))
            json_object_set_new(not_destroyed, text, error);
        else
            json_array_append_new(destroyed, json_string(text));
    }
    json_t *response = api_response(call),
           *parts[] = {created, updated, destroyed, not_created, not_updated, not_destroyed};
    for (i = 0; i < 6; i++)
        put_unless_empty(response, members[i], parts[i]);
    return response;
}

/* Certificates */

static int64_t seconds_of(const ASN1_TIME *time)
{
    struct tm parts;
    return ASN1_TIME_to_tm(time, &parts) ? timegm(&parts) : 0;
}

/* Takes the names and the life of the first certificate in the text; NULL where there is none. */
static struct cert *store_pem(uint64_t id, const char *pem)
{
    const char *names[128];
    size_t count = 0;
    BIO *bio = BIO_new_mem_buf(pem, -1);
    X509 *read = PEM_read_bio_X509(bio, NULL, NULL, NULL);
    GENERAL_NAMES *list = read ? X509_get_ext_d2i(read, NID_subject_alt_name, NULL, NULL) : NULL;
    struct cert *cert = NULL;
    for (int i = 0; list && i < sk_GENERAL_NAME_num(list) && count < 128; i++) {
        const GENERAL_NAME *name = sk_GENERAL_NAME_value(list, i);
        if (name->type == GEN_DNS)
            names[count++] = (const char *)ASN1_STRING_get0_data(name->d.dNSName);
    }
    if (count)
        cert = store_cert_add(id, names, count, seconds_of(X509_get0_notBefore(read)),
                              seconds_of(X509_get0_notAfter(read)), "CN=Own");
    if (cert)
        cert->pem = text_copy(pem);
    GENERAL_NAMES_free(list);
    X509_free(read);
    BIO_free(bio);
    return cert;
}

static const char *pem_of(const json_t *object)
{
    const char *pem = json_string_value(json_object_get(object, "certificate/value"));
    return pem ? pem
               : json_string_value(
                     json_object_get(json_object_get(object, "certificate"), "value"));
}

static json_t *create_cert(const json_t *object, uint64_t *id)
{
    const char *pem = pem_of(object);
    struct cert *cert = pem ? store_pem(id_next(), pem) : NULL;
    if (!cert)
        return set_error("invalidProperties", "Failed to parse certificate", "certificate");
    *id = cert->id;
    return NULL;
}

static json_t *update_cert(uint64_t id, const json_t *patch)
{
    struct cert *cert = store_cert(id);
    const char *pem = pem_of(patch);
    if (!cert)
        return api_error("notFound", NULL);
    if (!pem)
        return NULL;
    struct cert *made = store_pem(id_next(), pem);
    if (!made)
        return set_error("invalidProperties", "Failed to parse certificate", "certificate");
    store_cert_remove(made);
    store_cert_remove(cert);
    store_pem(id, pem);
    return NULL;
}

static json_t *destroy_cert(uint64_t id)
{
    struct cert *cert = store_cert(id);
    if (!cert)
        return api_error("notFound", NULL);
    store_cert_remove(cert);
    return NULL;
}

json_t *certificate_set(struct api_call *call)
{
    return set_objects(
        call,
        &(struct verbs){.create = create_cert, .update = update_cert, .destroy = destroy_cert});
}

/* Providers and settings */

static json_t *update_provider(uint64_t id, const json_t *patch)
{
    struct provider *provider = store_provider(id);
    const char *challenge = json_string_value(json_object_get(patch, "challengeType"));
    const char *renew_before = json_string_value(json_object_get(patch, "renewBefore"));
    if (!provider)
        return api_error("notFound", NULL);
    if (challenge) {
        free(provider->challenge);
        provider->challenge = text_copy(challenge);
    }
    if (renew_before) {
        free(provider->renew_before);
        provider->renew_before = text_copy(renew_before);
    }
    return NULL;
}

json_t *provider_set(struct api_call *call)
{
    return set_objects(call, &(struct verbs){.update = update_provider});
}

static json_t *update_settings(uint64_t id, const json_t *patch)
{
    if (id != ID_SINGLETON)
        return api_error("notFound", NULL);
    json_object_update(store.settings, (json_t *)patch);
    return NULL;
}

json_t *settings_set(struct api_call *call)
{
    return set_objects(call, &(struct verbs){.update = update_settings});
}
