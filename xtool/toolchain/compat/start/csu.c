/* What glibc below 2.34 is told to call before and after main; see the start files beside this one. */

extern void _init (void);
extern void (*__init_array_start[]) (int, char **, char **) __attribute__ ((visibility ("hidden")));
extern void (*__init_array_end[]) (int, char **, char **) __attribute__ ((visibility ("hidden")));

__attribute__ ((visibility ("hidden"))) void
__xtool_csu_init (int argc, char **argv, char **envp)
{
  _init ();
  for (void (**entry) (int, char **, char **) = __init_array_start; entry < __init_array_end; entry++)
    (*entry) (argc, argv, envp);
}

/* The dynamic loader runs the destructors. */
__attribute__ ((visibility ("hidden"))) void
__xtool_csu_fini (void)
{
}

/* Programs linked against glibc say with this symbol that they use its stdio as it is since 2.1. */
const int _IO_stdin_used = 0x20001;

int __data_start = 0;
extern int data_start __attribute__ ((weak, alias ("__data_start")));
