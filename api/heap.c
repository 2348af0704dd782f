/* api/heap.c: malloc with a count in front of each piece. */
#include "api/heap.h"

#include "base/assert.h"

#include <stdalign.h>
#include <stdbool.h>
#include <stdlib.h>

/* What malloc promises to align for, so that the piece behind the count is aligned alike. */
struct heap_head {
    alignas(max_align_t) uint64_t bytes; /* with this head */
};

static bool heap_take(struct heap_account *account, uint64_t bytes);
static void heap_give(struct heap_account *account, uint64_t bytes);
static struct heap_head *head_of(const void *piece);

void *heap_alloc(struct heap_account *account, size_t bytes)
{
    if (bytes > account->heap->bytes_max)
        return NULL; /* before the sum below: it must not overflow */
    const uint64_t total = (uint64_t)bytes + sizeof(struct heap_head);
    if (!heap_take(account, total))
        return NULL;
    struct heap_head *head = malloc(total);
    if (head == NULL) {
        heap_give(account, total);
        return NULL;
    }
    head->bytes = total;
    return head + 1;
}

void *heap_resize(struct heap_account *account, void *piece, size_t bytes)
{
    if (piece == NULL)
        return heap_alloc(account, bytes);
    if (bytes > account->heap->bytes_max)
        return NULL;

    const uint64_t total = (uint64_t)bytes + sizeof(struct heap_head);
    const uint64_t before = head_of(piece)->bytes;

    if (total > before && !heap_take(account, total - before))
        return NULL;
    struct heap_head *head = realloc(head_of(piece), total);
    if (head == NULL) {
        if (total > before)
            heap_give(account, total - before);
        return NULL;
    }
    if (total < before)
        heap_give(account, before - total);
    head->bytes = total;
    return head + 1;
}

void heap_free(struct heap_account *account, void *piece)
{
    if (piece == NULL)
        return;
    heap_give(account, head_of(piece)->bytes);
    free(head_of(piece));
}

void heap_move(struct heap_account *from, struct heap_account *to, const void *piece)
{
    if (piece == NULL)
        return;
    const uint64_t bytes = head_of(piece)->bytes;

    ASSERT(from->heap == to->heap);
    ASSERT(from->bytes >= bytes);
    from->bytes -= bytes;
    to->bytes += bytes;
}

static bool heap_take(struct heap_account *account, uint64_t bytes)
{
    struct heap *heap = account->heap;

    if (account->bytes + bytes > account->bytes_max)
        return false;
    if (heap->bytes + bytes > heap->bytes_max)
        return false;
    account->bytes += bytes;
    heap->bytes += bytes;
    return true;
}

static void heap_give(struct heap_account *account, uint64_t bytes)
{
    ASSERT(account->bytes >= bytes);
    ASSERT(account->heap->bytes >= bytes);
    account->bytes -= bytes;
    account->heap->bytes -= bytes;
}

static struct heap_head *head_of(const void *piece)
{
    return (struct heap_head *)(uintptr_t)piece - 1;
}
