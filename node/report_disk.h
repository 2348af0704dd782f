/* node/report_disk.h: the part of a node's status that is about its disk: report.c has the rest.
 *
 * Thread     The control thread.
 */
#ifndef NODE_REPORT_DISK_H
#define NODE_REPORT_DISK_H

#include "node/wiring.h"

#include <stdio.h>

/* Members of an object of JSON, each with a comma in front. */
void report_disk_json(const struct node *n, FILE *out);
/* Remarks for the table, each with a semicolon in front. */
void report_disk_row(const struct node *n, FILE *out);

#endif
