/* dataplane/port_guard_internal.h: keeps memif from unmapping memory that an lcore is reading.
 *
 * Why        memif 22.11 handles the loss of a peer in EAL's interrupt thread: it clears its
 *            "connected" flag and unmaps the shared region at once, while an lcore may stand in
 *            the middle of a burst that began before. Also, a burst that began before a
 *            connection may see it half made.
 * Rules      1. The executable's own munmap, on the interrupt thread, first tells the port (which
 *            marks its dead links off) and waits until each lcore has left the turn it was in.
 *            2. Ports are started and stopped on the interrupt thread only.
 *            3. A link is marked off, and the lcores waited for, before its port is stopped; and
 *            it is marked on again only when its port is connected. No lcore polls one that is off.
 *            So no lcore is ever inside memif while memif builds or destroys anything.
 * connect    A client's connect to a server that is stopped (SIGSTOP) with a full backlog would
 *            block the interrupt thread, and all other links with it: there it never blocks.
 * sendmsg    A server that accepts a connection whose client is dead already can't send its first
 *            message, and then closes the file without telling EAL, which panics (seen here: a
 *            node that was stopped and went on). There a message that can't be sent counts as
 *            lost, not failed: the end of file that follows is handled well, and a handshake that
 *            hangs is restarted by the supervisor. It never blocks either.
 */
#ifndef DATAPLANE_PORT_GUARD_INTERNAL_H
#define DATAPLANE_PORT_GUARD_INTERNAL_H

#include <stdint.h>

#include "base/bell.h"

/* Once, before any port is started. The words are the lcores that poll; `before_unmap` is called
 * on the interrupt thread. */
void port_guard_open(const struct bell_word *const *lcore, uint32_t lcore_count,
                     void (*before_unmap)(void *), void *argument);

/* Has `call` called on the interrupt thread, soon. 0 or a negative errno. */
int port_guard_run(void (*call)(void *), void *argument);

/* Any thread but an lcore: returns when each lcore has left the turn it was in, if any. Whatever
 * the caller had hidden before, no lcore uses any more. */
void port_guard_wait(void);

#endif
