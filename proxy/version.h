#ifndef RENEWGATE_PROXY_VERSION_H
#define RENEWGATE_PROXY_VERSION_H

/* The build may set it; this is a build by hand. */
#ifndef RENEWGATE_VERSION
#define RENEWGATE_VERSION "0.1.0-dev"
#endif

#endif
