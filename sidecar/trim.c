#include "sidecar/trim.h"

#include <link.h>
#include <malloc.h>
#include <stdbool.h>
#include <stdint.h>
#include <sys/mman.h>
#include <unistd.h>

enum {
    CROWD = 64, /* sessions: a megabyte; less is not worth a walk through the heap */
    REST = 4,   /* and three quarters of it have gone */
};

void trim_count(struct trim *t, size_t sessions)
{
    if (sessions > t->most) {
        t->most = sessions;
    } else if (t->most >= CROWD && sessions <= t->most / REST) {
        t->most = sessions;
        (void)malloc_trim(0);
    }
}

/* Relocations in what cannot be written were made on copies of its pages, which must stay. */
static bool has_text_relocations(const struct dl_phdr_info *info)
{
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        if (info->dlpi_phdr[i].p_type != PT_DYNAMIC) {
            continue;
        }
        /* NOLINTNEXTLINE(performance-no-int-to-ptr): the linker says where it is by a number */
        const ElfW(Dyn) *d = (const ElfW(Dyn) *)(info->dlpi_addr + info->dlpi_phdr[i].p_vaddr);
        for (; d->d_tag != DT_NULL; d++) {
            if (d->d_tag == DT_TEXTREL || (d->d_tag == DT_FLAGS && (d->d_un.d_val & DF_TEXTREL))) {
                return true;
            }
        }
    }
    return false;
}

static int trim_library(struct dl_phdr_info *info, size_t size, void *context)
{
    (void)size;
    const size_t *page = context;
    /* The kernel's own is no file; the program itself has no name. */
    bool is_file = info->dlpi_name[0] == '/' || info->dlpi_name[0] == '\0';
    if (!is_file || has_text_relocations(info)) {
        return 0;
    }
    for (size_t i = 0; i < info->dlpi_phnum; i++) {
        const ElfW(Phdr) *p = &info->dlpi_phdr[i];
        if (p->p_type == PT_LOAD && (p->p_flags & PF_W) == 0) {
            uintptr_t begin = (info->dlpi_addr + p->p_vaddr) / *page * *page;
            uintptr_t end = info->dlpi_addr + p->p_vaddr + p->p_memsz;
            /* NOLINTNEXTLINE(performance-no-int-to-ptr) */
            (void)madvise((void *)begin, end - begin, MADV_DONTNEED);
        }
    }
    return 0;
}

void trim_libraries(void)
{
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    (void)dl_iterate_phdr(trim_library, &page);
}
