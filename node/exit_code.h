/* node/exit_code.h: what the process says by its exit code; a supervisor may act on it.
 *
 * From EXIT_STOP_FIRST on the node has stopped itself for good, one code a reason (enum
 * replica_stop): starting it again without a look at its last words would not help, so a supervisor
 * should not (docs/OPERATING.md has the lines for systemd).
 */
#ifndef NODE_EXIT_CODE_H
#define NODE_EXIT_CODE_H

enum exit_code {
    EXIT_OK = 0,
    EXIT_USAGE = 1,      /* the command line */
    EXIT_CONFIG = 2,     /* mistakes in the configuration */
    EXIT_DATA = 3,       /* the data directory is refused */
    EXIT_START = 4,      /* something else it needs is not to be had: a port, a CPU, memory */
    EXIT_NO_ANSWER = 5,  /* status, member, transfer: a node does not answer */
    EXIT_REFUSED = 6,    /* member, transfer: not done, nothing was changed */
    EXIT_UNKNOWN = 7,    /* member, transfer: it may happen yet or not */
    EXIT_STOP_FIRST = 70 /* replica_stop 1: log failed; 71: superseded; ... in their order */
};

#endif
