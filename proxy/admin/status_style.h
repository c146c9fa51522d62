#ifndef RENEWGATE_PROXY_ADMIN_STATUS_STYLE_H
#define RENEWGATE_PROXY_ADMIN_STATUS_STYLE_H

/*
 * How the status page looks, as one style sheet that stands in the page itself. The page's policy
 * names its digest, so that a browser heeds no other.
 */

/* "'sha256-…'" and its NUL. */
#define STATUS_STYLE_SOURCE_SIZE 64

extern const char status_style[];

/* The picture in the browser's tab, as SVG. */
extern const char status_icon[];

/* What the style-src of the page's Content-Security-Policy says. */
void status_style_source(char text[static STATUS_STYLE_SOURCE_SIZE]);

#endif
