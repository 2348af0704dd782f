/* sim/shape.h: the shapes in which a network breaks: sets of directed links that are cut.
 *
 * Nodes take their places in a shape by chance. Cuts are added to those there are.
 */
#ifndef SIM_SHAPE_H
#define SIM_SHAPE_H

#include "base/prng.h"
#include "sim/port_sim.h"

#define SHAPE_LIST(X)                                                                       \
    X(ISOLATE, "isolate")             /* one node is alone */                               \
    X(BISECT, "bisect")               /* two sides of any size */                           \
    X(BRIDGE, "bridge")               /* two sides, and one node that hears both */         \
    X(MAJORITY_RING, "majority ring") /* each hears a majority, no two hear the same one */ \
    X(CHAIN, "chain")                 /* only neighbours on a line hear each other */       \
    X(HUB, "hub")                     /* all hear one node, and only that one hears all */  \
    X(MUTE, "mute")                   /* one node hears all, and nobody hears it */         \
    X(DEAF, "deaf")                   /* all hear one node, and it hears nobody */          \
    X(ANY, "any links")               /* each directed link by itself */

enum shape {
#define SHAPE_ENUM(name, text) SHAPE_##name,
    SHAPE_LIST(SHAPE_ENUM)
#undef SHAPE_ENUM
        SHAPE_COUNT
};

const char *shape_name(enum shape shape);
void shape_cut(struct net *net, uint32_t node_count, enum shape shape, struct prng *p);

#endif
