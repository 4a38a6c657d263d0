long xt_steps(long n);
