/* tests/sim/story_text.h: histories from a text file.
 *
 *   # a comment; empty lines don't matter
 *   history NAME
 *   replay INVARIANT | accepts        what sim/check_history.h must say
 *   search rejects | accepts          what sim/check_linear.h must say
 *   because TEXT                      only, and always, where the two differ
 *   C put K=V [prev] [node N]         a call named C (a letter) begins; K is a number, or K-K, the
 *   C del K [prev] [node N]           second exclusive; node 1 unless it says another
 *   C get K [limit N] [keys] [node N]
 *   C local K [limit N] [keys] [node N] [boot N]
 *   commit C                          it is committed at the next index; C `-`: something else is
 *   C ok INDEX@REVISION [count N] [more] [K=V/CREATE.MOD.VERSION ...]; without `=V` for keys only;
 *                                     count is that of the items unless it says another
 *   C unknown | C refused | C passed  it ends so
 *   do C put K=V REVISION             begins, is committed and answered OK, one after the other
 */
#ifndef TESTS_SIM_STORY_TEXT_H
#define TESTS_SIM_STORY_TEXT_H

#include "tests/sim/story.h"

#include <stdio.h>

struct story_expected {
    char replay[STORY_NAME_BYTES]; /* "accepts", or the invariant */
    bool search_rejects;
    char because[STORY_WHY_BYTES];
};

/* 1: a history; 0: the end; -EINVAL: no history, and `line` says which line is wrong. */
int story_text_next(FILE *file, struct story *s, struct story_expected *expected, uint32_t *line);

#endif
