/* SPDX-License-Identifier: Apache-2.0 */
/* Sysfs, procfs and CPUID as the cpu module reads them: the input is a tree of files (tree_host.h).
 */
#include "fuzz/tree_host.h"

#include "fuzz/fuzz.h"

extern const struct accel_driver accel_driver_table; /* drivers/cpu is linked in */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
    tree_host_drive(&accel_driver_table, data, size);
    return 0;
}
