/* SPDX-License-Identifier: Apache-2.0 */
/* Sysfs as the pci module reads it: the input is a tree of files (tree_host.h). */
#include "fuzz/tree_host.h"

#include "fuzz/fuzz.h"

extern const struct accel_driver accel_driver_table; /* drivers/pci is linked in */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tree_host_drive(&accel_driver_table, data, size);
    return 0;
}
