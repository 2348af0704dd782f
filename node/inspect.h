/* node/inspect.h: `skiff inspect`: what a data directory contains, while no node runs in it.
 *
 * Reads only. A report goes to stdout, as text or as one JSON object; how far a long scan is goes to
 * stderr if that is a terminal. With `verify` damage gives EXIT_DATA.
 */
#ifndef NODE_INSPECT_H
#define NODE_INSPECT_H

#include <stdbool.h>

struct inspect_request {
    const char *path; /* of the directory; of the file, for inspect_snapshot() */
    bool json;
    bool verify;
};

/* Exit codes. */
int inspect_log(const struct inspect_request *request);
int inspect_superblock(const struct inspect_request *request);
int inspect_snapshot(const struct inspect_request *request);

#endif
