/* Linked into every module and program of stage 1: makes the counters of this one known to the training's library,
   which writes them where the process ends in a way that libgcov does not see. */

extern void __gcov_dump(void);
extern void __gcov_reset(void);
extern void xtool_training_part(void (*dump)(void), void (*reset)(void));

__attribute__((constructor)) static void part(void) {
  xtool_training_part(__gcov_dump, __gcov_reset);
}
