#ifndef RENEWGATE_TESTS_UNIT_WITH_CURL_H
#define RENEWGATE_TESTS_UNIT_WITH_CURL_H

/* libcurl for all tests of a group: what cmocka_run_group_tests() sets up and tears down. */

#include <curl/curl.h>

static inline int curl_set_up(void **state)
{
    (void)state;
    return curl_global_init(CURL_GLOBAL_DEFAULT) == CURLE_OK ? 0 : -1;
}

static inline int curl_tear_down(void **state)
{
    (void)state;
    curl_global_cleanup();
    return 0;
}

#endif
