/* node/init.c: see init.h. */
#include "node/init.h"

#include "node/datadir.h"
#include "node/exit_code.h"
#include "persist/disk_uring.h"
#include "persist/superblock.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>

/* A superblock that no other directory has: the incarnation is drawn here, once. */
static int write_superblock(struct disk *disk, const struct config *config)
{
    struct superblock fresh = {.cluster = config->cluster, .node = config->node};
    int result;

    while (fresh.incarnation == 0) { /* 0 means unknown; getrandom() gives it once in 2^64 */
        if (getrandom(&fresh.incarnation, sizeof fresh.incarnation, 0) !=
            (ssize_t)sizeof fresh.incarnation)
            return -EIO;
    }
    uint8_t *buffer = aligned_alloc(DISK_SECTOR, DISK_SECTOR);
    if (buffer == NULL)
        return -ENOMEM;
    memset(buffer, 0, DISK_SECTOR);
    result = superblock_format(disk, buffer, &fresh);
    free(buffer);
    return result;
}

int init_data_directory(const struct config *config, char *error, size_t error_bytes)
{
    const struct disk_uring_options options = {.buffered = false};
    struct datadir datadir;
    struct disk *disk;
    int code = EXIT_OK;

    if (datadir_create(&datadir, config->data, error, error_bytes) != 0)
        return EXIT_DATA;
    if (disk_uring_open(config->data, &options, &disk, error, error_bytes) != 0) {
        datadir_close(&datadir);
        return EXIT_START;
    }
    const int result = write_superblock(disk, config);
    if (result != 0) {
        snprintf(error, error_bytes, "the superblock in %s can't be written: %s", config->data,
                 strerror(-result));
        code = EXIT_DATA;
    }
    disk_uring_close(disk);
    datadir_close(&datadir);
    return code;
}
