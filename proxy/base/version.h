#ifndef RENEWGATE_PROXY_BASE_VERSION_H
#define RENEWGATE_PROXY_BASE_VERSION_H

/*
 * Which program this is, and what it is linked with.
 */

#include <stdio.h>

/* The build takes it from the file VERSION. */
#ifndef RENEWGATE_VERSION
#define RENEWGATE_VERSION "unknown"
#endif

/*
 * A line for the gate, then one for each library by the version that runs now; of one that is part
 * of the binary that of Debian's source package, since no upgrade of the machine's packages mends
 * it.
 */
void version_print(FILE *out);

#endif
