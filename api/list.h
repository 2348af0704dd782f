/* api/list.h: a circular doubly linked list whose links lie in its members.
 *
 * A call is at once in its connection's list, in a queue and under a timer, and leaves any of them
 * at any moment; so each link can be taken out by itself, and taking out twice does no harm.
 */
#ifndef API_LIST_H
#define API_LIST_H

#include <stdbool.h>
#include <stddef.h>

struct list_link {
    struct list_link *previous, *next; /* both itself: in no list, or an empty one */
};

/* The struct of type `type` whose member `member` is this link. */
#define LIST_ITEM(list_link_pointer, type, member) \
    ((type *)(void *)((char *)(list_link_pointer)-offsetof(type, member)))

static inline void list_init(struct list_link *l)
{
    l->previous = l->next = l;
}

static inline bool list_empty(const struct list_link *l)
{
    return l->next == l;
}

static inline void list_append(struct list_link *head, struct list_link *l)
{
    l->previous = head->previous;
    l->next = head;
    head->previous->next = l;
    head->previous = l;
}

static inline void list_remove(struct list_link *l)
{
    l->previous->next = l->next;
    l->next->previous = l->previous;
    list_init(l);
}

#endif
