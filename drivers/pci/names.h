/* SPDX-License-Identifier: Apache-2.0 */
#ifndef DRIVERS_PCI_NAMES_H
#define DRIVERS_PCI_NAMES_H

/* Names for people from pci.ids, by libpci. Only names: what is there is read from sysfs. */

#include <stddef.h>
#include <stdint.h>

/* "GA100 [A100 PCIe 40GB]", "NVIDIA Corporation"; "" when pci.ids does not know. */
void pci_name_device(uint16_t vendor, uint16_t device, char *name, size_t size);
void pci_name_vendor(uint16_t vendor, char *name, size_t size);
void pci_name_subsystem(uint16_t vendor, uint16_t device, uint16_t sub_vendor, uint16_t sub_device,
                        char *name, size_t size);
/* The list takes two megabytes while it is loaded: let go when a discovery has ended. */
void pci_names_unload(void);

#endif
