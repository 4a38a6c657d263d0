/* __parse_hwcap_and_convert_at_platform (ppc64le, glibc 2.23): a mark and not a function; see ../hwcap.c. */

void
__parse_hwcap_and_convert_at_platform (void)
{
}
