#include "base/moment.h"

void (*moment_hook)(void);
