/* tests/power/dm_mark.h: a mark in the log of a dm-log-writes device.
 *
 * The mark stands behind every write that had completed and been flushed before the call, and in
 * front of all that is submitted after it: so it tells, for each point in the log, what had been
 * promised by then.
 */
#ifndef TESTS_POWER_DM_MARK_H
#define TESTS_POWER_DM_MARK_H

/* `device` by its name in the device mapper. 0, or -1 and errno. */
int dm_mark(const char *device, const char *text);

#endif
