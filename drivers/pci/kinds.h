/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DRIVERS_PCI_KINDS_H
#define DRIVERS_PCI_KINDS_H

/* What a PCI function is to Cyborg and Placement, by class and ids: the table is in kinds.c. */

#include <stdbool.h>
#include <stdint.h>

struct pci_kind {
    const char *type;           /* GPU FPGA AICHIP QAT */
    const char *resource_class; /* Placement's word */
    bool host_only;             /* serves the host's own screen: listed, never handed out */
};

/* `class` as in sysfs, 0x030200. NULL: not a function this module reports. */
const struct pci_kind *pci_kind_of(uint32_t class, uint16_t vendor, uint16_t device);
/* Name for a trait, "NVIDIA"; NULL when the table does not know the vendor. */
const char *pci_vendor_word(uint16_t vendor);
/* "3D controller"; NULL for a class this module does not report. */
const char *pci_class_name(uint32_t class);

#endif
