#include "tests/power/dm_mark.h"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stddef.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

enum { TEXT_BYTES_MAX = 128 };

int dm_mark(const char *device, const char *text)
{
    static int control = -1;
    /* A dm_ioctl, then a dm_target_msg for sector 0, then its text. */
    _Alignas(struct dm_ioctl) char
        request[sizeof(struct dm_ioctl) + sizeof(struct dm_target_msg) + TEXT_BYTES_MAX] = {0};
    struct dm_ioctl *head = (struct dm_ioctl *)request;

    if (control < 0)
        control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -1;
    *head = (struct dm_ioctl){
        .version = {DM_VERSION_MAJOR, 0, 0},
        .data_size = sizeof request,
        .data_start = sizeof *head,
    };
    (void)snprintf(head->name, sizeof head->name, "%s", device);
    (void)snprintf(request + sizeof *head + offsetof(struct dm_target_msg, message), TEXT_BYTES_MAX,
                   "mark %s", text);
    return ioctl(control, DM_TARGET_MSG, request);
}
