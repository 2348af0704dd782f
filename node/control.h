/* node/control.h: the control thread: signals, status, links, and why the node ends.
 *
 * It is the thread that main() runs on and no lcore. Signals are blocked before anything starts a
 * thread, so all inherit that, and are read here from a signalfd. SIGTERM and SIGINT end the node in
 * order: clients are told, lcores end, files are closed. A second one does not wait for the clients.
 *
 * Thread     The one that called control_block_signals().
 */
#ifndef NODE_CONTROL_H
#define NODE_CONTROL_H

#include "node/wiring.h"

/* First of all. A signalfd, or negative errno. */
int control_block_signals(void);
/* Runs the node until it ends; the exit code. The node is open and its lcores run. */
int control_run(struct node *n, int signal_fd, int listen_fd);

#endif
