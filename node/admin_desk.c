/* node/admin_desk.c: see admin_desk.h. */
#include "node/admin_desk.h"

#include "node/admin_text.h"

#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

/* The tag of the request that was pushed; 0: there was no room. */
static uint64_t push(struct admin_desk *desk, const struct admin_request *request)
{
    const uint64_t tag = (uint64_t)NODE_DOOR_ADMIN << REQUEST_DOOR_SHIFT | ++desk->tag_last;
    const struct request item = {
        .tag = tag,
        .bytes = (const uint8_t *)request,
        .length = sizeof *request,
        .kind = REQUEST_ADMIN,
    };

    if (spsc_push(desk->node->admin_door->to_raft, &item, sizeof item, 1) != 1)
        return 0;
    node_ring(desk->node);
    return tag;
}

static void tell(int fd, const struct answer *answer)
{
    char text[ADMIN_TEXT_BYTES];

    admin_text_write_answer(answer, text);
    send(fd, text, strlen(text), MSG_NOSIGNAL); /* who went away learns nothing */
    close(fd);
}

void admin_desk_ask(struct admin_desk *desk, const struct admin_request *request, int fd)
{
    const struct answer busy = {.status = ANSWER_BUSY};

    if (desk->operator_tag == 0) {
        desk->operator_request = *request;
        desk->operator_tag = push(desk, &desk->operator_request);
        if (desk->operator_tag != 0) {
            desk->operator_fd = fd;
            return;
        }
    }
    tell(fd, &busy);
}

bool admin_desk_hand_over(struct admin_desk *desk)
{
    desk->handover_request = (struct admin_request){.kind = ADMIN_TRANSFER};
    desk->handover_tag = push(desk, &desk->handover_request);
    return desk->handover_tag != 0;
}

bool admin_desk_poll(struct admin_desk *desk)
{
    struct answer answer;

    while (spsc_pop(desk->node->admin_door->from_raft, &answer, sizeof answer, 1) == 1) {
        if (answer.tag == desk->handover_tag) {
            desk->handover_tag = 0;
        } else if (answer.tag == desk->operator_tag) {
            desk->operator_tag = 0;
            tell(desk->operator_fd, &answer);
        }
    }
    return desk->operator_tag != 0 || desk->handover_tag != 0;
}
