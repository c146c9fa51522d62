#ifndef RENEWGATE_POLICY_HASH_H
#define RENEWGATE_POLICY_HASH_H

/* FNV-1a: for what is only compared within this process, and chosen by nobody who gains by it. */

#include <stddef.h>
#include <stdint.h>

#define HASH_BEGIN UINT64_C(0xcbf29ce484222325)

uint64_t hash_add(uint64_t hash, const void *bytes, size_t len);

#endif
