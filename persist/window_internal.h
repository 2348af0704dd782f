/* persist/window_internal.h: a stretch of one segment in memory, and the read that brings what follows it.
 *
 *   memory   | passed | valid            | being read | free     |
 *            0        first              end                     size
 *
 * Who reads a segment onwards keeps one read in flight while it looks at what is valid: a start
 * (scan.c) and the reader of old records (reader.c). Reads go to the end, and when there is no room
 * for one, what is valid is moved to the front: so a batch that two reads brought lies in one piece.
 */
#ifndef PERSIST_WINDOW_INTERNAL_H
#define PERSIST_WINDOW_INTERNAL_H

#include "persist/content_internal.h"
#include "persist/disk.h"

struct wal_window {
    uint8_t *memory; /* of the owner, on a sector */
    uint64_t size;
    struct wal_place place; /* of the byte at `first` */
    uint64_t first, end;
    uint64_t reading; /* bytes behind `end` that the read in flight will bring; 0: none is */
};

/* Nothing is valid, and reading begins at `place`. */
void wal_window_begin(struct wal_window *v, struct wal_place place);
/* Passes over what lies in front of `place`. False: it is not in what is valid, nor right behind that. */
bool wal_window_pass(struct wal_window *v, struct wal_place place);
/* Forgets what is valid; what is being read will be. */
void wal_window_drop(struct wal_window *v);
/* The bytes from `place` on, of which it passes over what lies in front. NULL: not all `need` of them are
 * valid. They stay where they are until the next wal_window_read(). */
uint8_t *wal_window_at(struct wal_window *v, struct wal_place place, uint64_t need);
uint64_t wal_window_valid(const struct wal_window *v);
/* True when so little is valid that moving it is cheap beside the reading: time to read ahead. */
bool wal_window_is_low(const struct wal_window *v);
/* Sets offset, bytes and length of the read that brings the next `length` bytes, or as many as there is room
 * for and as lie in front of `limit`; 0: none. Else the read is in flight until wal_window_on_read(). */
uint64_t wal_window_read(struct wal_window *v, uint64_t length, uint64_t limit, struct disk_op *op);
/* It is over. Whole: what it brought is valid. */
void wal_window_on_read(struct wal_window *v, bool whole);

#endif
