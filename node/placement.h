/* node/placement.h: which role runs on which lcore: the roles' poll functions, bells and fds.
 *
 * Thread     The control thread.
 * Errors     An exit code that is not 0, with a sentence in `error`.
 */
#ifndef NODE_PLACEMENT_H
#define NODE_PLACEMENT_H

#include "node/wiring.h"

/* Makes n->lcore with its bells, still without roles. Before the port, which is told the bells. */
int placement_open(struct node *n, char *error, size_t error_bytes);
void placement_close(struct node *n);
bool placement_has(const struct config_lcore *l, enum config_role role);

#endif
