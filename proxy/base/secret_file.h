#ifndef RENEWGATE_PROXY_BASE_SECRET_FILE_H
#define RENEWGATE_PROXY_BASE_SECRET_FILE_H

/*
 * A file's first 16 KiB without the line ends behind them; the caller's to free(). NULL with errno.
 */
char *secret_file_read(const char *path);

#endif
