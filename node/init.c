/* node/init.c: see init.h. */
#include "node/init.h"

#include "node/datadir.h"
#include "node/exit_code.h"
#include "persist/disk_uring.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
