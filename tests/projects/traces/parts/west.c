void xt_register(const char *name);
__attribute__((constructor)) static void west(void) { xt_register("west"); }
