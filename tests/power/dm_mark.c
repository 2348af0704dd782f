#include "tests/power/dm_mark.h"

#include <fcntl.h>
#include <linux/dm-ioctl.h>
#include <stdio.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

int dm_mark(const char *device, const char *text)
{
    static int control = -1;
    struct {
        struct dm_ioctl head;
        struct dm_target_msg message; /* its text follows */
        char text[128];
    } request = {
        .head = {.version = {DM_VERSION_MAJOR, 0, 0},
                 .data_size = sizeof request,
                 .data_start = sizeof request.head},
    };

    if (control < 0)
        control = open("/dev/mapper/control", O_RDWR | O_CLOEXEC);
    if (control < 0)
        return -1;
    (void)snprintf(request.head.name, sizeof request.head.name, "%s", device);
    (void)snprintf(request.message.message, sizeof request.text, "mark %s", text);
    return ioctl(control, DM_TARGET_MSG, &request);
}
