/* SPDX-License-Identifier: Apache-2.0 */
#include "names.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <pci/pci.h>

static struct pci_access *names;
static jmp_buf on_error;

/* libpci ends the process on a damaged list unless this does not return. */
static void __attribute__((noreturn)) give_up(char *msg, ...)
{
    (void)msg;
    longjmp(on_error, 1);
}

static void be_quiet(char *msg, ...)
{
    (void)msg;
}

/* pci_alloc() reads no hardware; pci_init(), which would, is not needed for names. */
static struct pci_access *load(void)
{
    if (names == NULL && (names = pci_alloc()) != NULL) {
        names->error = give_up;
        names->warning = be_quiet;
        names->debug = be_quiet;
    }
    return names;
}

#define FLAGS (PCI_LOOKUP_NO_NUMBERS | PCI_LOOKUP_NO_HWDB)

static void look_up(char *name, size_t size, int what, const int ids[4])
{
    struct pci_access *access = load();
    const char *found = NULL;

    name[0] = '\0';
    if (access == NULL)
        return;
    if (setjmp(on_error) == 0)
        found =
            pci_lookup_name(access, name, (int)size, what | FLAGS, ids[0], ids[1], ids[2], ids[3]);
    if (found == NULL)
        name[0] = '\0';
    else if (found != name)
        snprintf(name, size, "%s", found);
}

void pci_name_device(uint16_t vendor, uint16_t device, char *name, size_t size)
{
    look_up(name, size, PCI_LOOKUP_DEVICE, (const int[4]){vendor, device});
}

void pci_name_vendor(uint16_t vendor, char *name, size_t size)
{
    look_up(name, size, PCI_LOOKUP_VENDOR, (const int[4]){vendor});
}

void pci_name_subsystem(uint16_t vendor, uint16_t device, uint16_t sub_vendor, uint16_t sub_device,
                        char *name, size_t size)
{
    look_up(name, size, PCI_LOOKUP_SUBSYSTEM | PCI_LOOKUP_DEVICE,
            (const int[4]){vendor, device, sub_vendor, sub_device});
}

void pci_names_unload(void)
{
    if (names != NULL)
        pci_cleanup(names);
    names = NULL;
}
