/* _STAT_VER of each processor's bits/stat.h up to glibc 2.32, for the 64-bit struct that the headers declare. */
#if defined __x86_64__ || defined __powerpc64__ || defined __s390x__
# define STAT_VER 1
#elif defined __i386__ || defined __powerpc__ || defined __arm__ || defined __s390__
# define STAT_VER 3
#else
# define STAT_VER 0
#endif
