#include "where.h"
int xt_static(void) { return xt_where()[0]; }
