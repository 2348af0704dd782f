/* node/report.h: what a node says about itself, from words that its lcores publish.
 *
 * Thread     The control thread.
 */
#ifndef NODE_REPORT_H
#define NODE_REPORT_H

#include "node/wiring.h"

#include <stdio.h>

/* One JSON object, no newline. The names in it are the interface of `skiff status -o json`. */
void report_json(const struct node *n, FILE *out);
/* The members of the configuration in force, as JSON: match and lag are the leader's to say. */
void report_members(const struct node *n, FILE *out);
/* The same as a table to look at. */
void report_members_table(const struct node *n, FILE *out);
/* One row of the table: REPORT_COLUMNS tab-separated fields, no newline. */
void report_row(const struct node *n, FILE *out);

enum { REPORT_COLUMNS = 9 };
const char *report_role_name(uint64_t role);
/* What a node without a configuration waits for: "to be ...", "until ...". */
const char *report_waits(const struct node *n);

#endif
