/* node/init.h: `skiff init`: a new data directory with its superblock.
 *
 * Thread: a process of its own. Errors: an exit code, with a sentence in `error`.
 */
#ifndef NODE_INIT_H
#define NODE_INIT_H

#include "node/config.h"

#include <stddef.h>

int init_data_directory(const struct config *config, char *error, size_t error_bytes);

#endif
