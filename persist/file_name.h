/* persist/file_name.h: names of numbered files: a prefix and sixteen hexadecimal digits. */
#ifndef PERSIST_FILE_NAME_H
#define PERSIST_FILE_NAME_H

#include <stdint.h>

#include "persist/disk.h"

void file_name_make(char name[DISK_NAME_BYTES], const char *prefix, uint64_t number);
/* The number of such a name; 0: it is none, for no file has the number 0. */
uint64_t file_name_number(const char *name, const char *prefix);

#endif
