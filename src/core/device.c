/* SPDX-License-Identifier: Apache-2.0 */
#include "core/device.h"

#include <string.h>

bool accel_device_is_host_side(const char *type)
{
    return strcmp(type, "CPU") == 0 || strcmp(type, "OPENCL") == 0;
}
