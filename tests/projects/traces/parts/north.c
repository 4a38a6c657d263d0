void xt_register(const char *name);
__attribute__((constructor)) static void north(void) { xt_register("north"); }
