#include "proxy/base/secret_file.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>

#define SECRET_LIMIT ((size_t)16384)

char *secret_file_read(const char *path)
{
    FILE *file = fopen(path, "re");
    if (file == NULL)
        return NULL;
    char *content = malloc(SECRET_LIMIT);
    size_t len = content == NULL ? 0 : fread(content, 1, SECRET_LIMIT - 1, file);
    if (content != NULL && ferror(file)) {
        free(content);
        content = NULL;
    }
    int error = errno;
    fclose(file);
    if (content == NULL) {
        errno = error;
        return NULL;
    }
    while (len > 0 && (content[len - 1] == '\n' || content[len - 1] == '\r'))
        len--;
    content[len] = '\0';
    return content;
}
