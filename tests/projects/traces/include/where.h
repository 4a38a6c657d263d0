static inline const char *xt_where(void) { return __FILE__; }
