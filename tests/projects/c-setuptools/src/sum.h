static inline long long xt_add(long long left, long long right) { return left + right; }
