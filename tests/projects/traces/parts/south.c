void xt_register(const char *name);
__attribute__((constructor)) static void south(void) { xt_register("south"); }
