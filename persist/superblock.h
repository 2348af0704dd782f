/* persist/superblock.h: who this data directory is: cluster, node, incarnation, boot.
 *
 * Two copies, each a sector of the file "superblock", with a generation; the newer valid one
 * counts, the older is overwritten. superblock_boot() makes the boot number one higher, durably,
 * before the node says a word to anybody.
 *
 * Thread     The thread that starts the node.
 * Errors     Negative errno; -ENODATA: no superblock (not initialised), -EBADMSG: both copies bad,
 *            -EPROTO: written by another version.
 */
#ifndef PERSIST_SUPERBLOCK_H
#define PERSIST_SUPERBLOCK_H

#include <stdint.h>

#include "persist/disk.h"

struct superblock {
    uint64_t cluster;
    uint64_t incarnation; /* random, from init */
    uint64_t generation;
    uint32_t boot;
    uint16_t node;
    uint16_t version;
};

enum { SUPERBLOCK_COPIES = 2 };

#define SUPERBLOCK_NAME "superblock"
/* Under this name it is written; what is found under it is left of an init that did not end. */
#define SUPERBLOCK_NAME_MAKING "superblock.new"

enum superblock_state {
    SUPERBLOCK_EMPTY, /* zeros: lost too */
    SUPERBLOCK_VALID,
    SUPERBLOCK_BAD, /* damaged, or it can't be read */
    SUPERBLOCK_OTHER_VERSION,
};

struct superblock_copy {
    enum superblock_state state;
    struct superblock content; /* of a valid copy, or one of another version */
};

/* Whose directory this is, as the one says who runs on it. */
enum superblock_owner { SUPERBLOCK_OURS, SUPERBLOCK_OF_OTHER_CLUSTER, SUPERBLOCK_OF_OTHER_NODE };
static inline enum superblock_owner superblock_owner(const struct superblock *found,
                                                     uint64_t cluster, uint16_t node)
{
    if (found->cluster != cluster)
        return SUPERBLOCK_OF_OTHER_CLUSTER;
    return found->node == node ? SUPERBLOCK_OURS : SUPERBLOCK_OF_OTHER_NODE;
}

/* `buffer`: DISK_SECTOR bytes, DISK_SECTOR aligned, for the time of the call. After superblock_format()
 * the file is there whole, or not at all. */
int superblock_format(struct disk *d, uint8_t *buffer, const struct superblock *fresh);
int superblock_read(struct disk *d, uint8_t *buffer, struct superblock *out);
/* Each copy by itself; the file must have been opened by superblock_read(). */
void superblock_look(struct disk *d, uint8_t *buffer, struct superblock_copy *out);
const char *superblock_state_text(enum superblock_state state);
/* What a result of superblock_read() means. */
const char *superblock_problem(int result);
int superblock_boot(struct disk *d, uint8_t *buffer, struct superblock *inout);

#endif
