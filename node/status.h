/* node/status.h: `skiff status`: asks nodes of this host and prints a table, or JSON.
 *
 * A node that does not answer has a row that says why. Thread: any; a process of its own.
 */
#ifndef NODE_STATUS_H
#define NODE_STATUS_H

#include <stdbool.h>
#include <stdint.h>

enum { STATUS_NODES_MAX = 64 };

/* Asks the nodes of these configuration files; an exit code. */
int status_print(char *const *config_paths, uint32_t count, bool json);
/* All nodes whose configurations lie in a folder as node*.yaml. */
int status_print_folder(const char *folder, bool json);

#endif
