/* SPDX-License-Identifier: Apache-2.0 */
/* acceld-control: serves REST and keeps the record. Started by the supervisor (core/roles.h). */

#include "control/control.h"

int main(int argc, char **argv)
{
    return accel_control_main(argc, argv);
}
