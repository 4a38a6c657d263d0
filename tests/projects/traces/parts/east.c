void xt_register(const char *name);
__attribute__((constructor)) static void east(void) { xt_register("east"); }
