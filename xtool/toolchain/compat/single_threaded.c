/* __libc_single_threaded (glibc 2.32), read by libstdc++ to leave out atomic instructions while there is one thread.
   Always 0, "there may be several": correct whatever the program does. */

char __libc_single_threaded = 0;
