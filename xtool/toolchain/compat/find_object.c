/* _dl_find_object (glibc 2.35): libgcc_eh.a's way to the unwind tables of the object around an address. When it
   says "not found" libgcc looks no further, and an exception ends the program; so this one must find what there is. */

#include <dlfcn.h>
#include <link.h>
#include <stddef.h>
#include <string.h>

/* The headers of an older glibc do not have it. As in glibc 2.35's <dlfcn.h> (bits/dl_find_object.h) on every machine
   that has 64-bit distributions: neither i386's dlfo_eh_dbase nor arm's dlfo_eh_count.  */
#ifndef DLFO_STRUCT_HAS_EH_DBASE
struct dl_find_object
{
  unsigned long long dlfo_flags;
  void *dlfo_map_start;
  void *dlfo_map_end;
  struct link_map *dlfo_link_map;
  void *dlfo_eh_frame;
  unsigned long long dlfo_reserved[7];
};
int _dl_find_object (void *, struct dl_find_object *);
#endif

struct search
{
  ElfW (Addr) address;
  struct dl_find_object *into;
};

static int
look_at (struct dl_phdr_info *object, size_t size, void *data)
{
  struct search *search = data;
  ElfW (Addr) start = (ElfW (Addr)) -1;
  ElfW (Addr) end = 0;
  void *eh_frame = NULL;
  int inside = 0;
  (void) size;
  for (size_t i = 0; i < object->dlpi_phnum; i++)
    {
      const ElfW (Phdr) *header = &object->dlpi_phdr[i];
      ElfW (Addr) from = object->dlpi_addr + header->p_vaddr;
      if (header->p_type == PT_GNU_EH_FRAME)
        eh_frame = (void *) from;
      if (header->p_type != PT_LOAD)
        continue;
      if (search->address - from < header->p_memsz)
        inside = 1;
      if (from < start)
        start = from;
      if (from + header->p_memsz > end)
        end = from + header->p_memsz;
    }
  if (!inside)
    return 0;
  memset (search->into, 0, sizeof *search->into);
  search->into->dlfo_map_start = (void *) start;
  search->into->dlfo_map_end = (void *) end;
  search->into->dlfo_eh_frame = eh_frame;
  return 1;
}

int
_dl_find_object (void *address, struct dl_find_object *into)
{
  struct search search = { (ElfW (Addr)) address, into };
  return dl_iterate_phdr (look_at, &search) == 1 ? 0 : -1;
}
