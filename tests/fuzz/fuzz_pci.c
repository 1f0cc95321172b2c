/* SPDX-License-Identifier: Apache-2.0 */
/* Sysfs as the pci module reads it: the input is a tree of files (tree_host.h). Its names are made
 * up here: reading pci.ids for each input would be all the time there is. */
#include <stdio.h>

#include "../../drivers/pci/names.h"
#include "fuzz/tree_host.h"

#include "fuzz/fuzz.h"

extern const struct accel_driver accel_driver_table; /* drivers/pci is linked in */

void pci_name_device(uint16_t vendor, uint16_t device, char *name, size_t size)
{
    snprintf(name, size, "Device %04x [of %04x]", device, vendor);
}

void pci_name_vendor(uint16_t vendor, char *name, size_t size)
{
    snprintf(name, size, "Vendor %04x", vendor);
}

void pci_name_subsystem(uint16_t vendor, uint16_t device, uint16_t sub_vendor, uint16_t sub_device,
                        char *name, size_t size)
{
    snprintf(name, size, "%04x:%04x in %04x:%04x", vendor, device, sub_vendor, sub_device);
}

void pci_names_unload(void)
{
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tree_host_drive(&accel_driver_table, data, size);
    return 0;
}
