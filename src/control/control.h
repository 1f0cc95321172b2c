/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CONTROL_CONTROL_H
#define ACCEL_CONTROL_CONTROL_H

/* main() of the control process (core/roles.h says how it is started): runs until the supervisor
 * says Stop. Returns the exit status. */
int accel_control_main(int argc, char **argv);

#endif
