/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CORE_ROLES_H
#define ACCEL_CORE_ROLES_H

/* What the supervisor and the processes it starts agree on.
 *
 * Every role is a program of its own (libexec/acceld-ROLE), started with exactly the descriptors
 * its command line names, 0 from /dev/null, 1 and 2 as the supervisor's own; in a process group of
 * its own (a terminal's Ctrl-C reaches the supervisor alone); with PR_SET_PDEATHSIG SIGKILL, which
 * a change of user clears: see core/privileges.h. Configuration comes in sealed memory files.
 *
 * acceld-control --config-fd N --config-path FILE --supervisor-fd N [--listen-fd N]...
 * [--watchdog-ms N] The configuration is YAML for accel_config_parse. Supervisor channel, in:
 * PeerUp (+ the channel to the peer), PeerDown, Reload (+ configuration), Stop. Out: Ready
 * (serving; and again after each Reload), Watchdog, Status, RestartPeer. Exits 0 after Stop.
 *
 * acceld-control --restore-fd N --database PATH
 *     Puts the backup that N is open on in the database's place, says on standard output what it
 *     did, and exits: 0, or 1 with the reason on standard error.
 *
 * acceld-hardware --module NAME --module-dir DIR --sysroot DIR --hostname H --config-fd N
 *                 --channel-fd N --supervisor-fd N --log-level LEVEL [--user U]
 *     The configuration is the module's section as JSON object text. Channel: to control; Hello is
 *     the first message on every channel. Supervisor channel, in: PeerUp (role CONTROL, + a new
 *     channel: the old control process is dead), SetLogLevel, Stop. When the old channel ends it
 *     waits for the next PeerUp; when the supervisor's ends it exits. --user: started as root, to
 *     become that user unless the module needs root. Exits 0 after Stop. SIGTERM ends it at once.
 *
 * acceld-worker --name N --config-fd N --channel-fd N
 *     The configuration is YAML as for control. Exits 0 when the channel ends or at Stop. SIGTERM
 *     ends it at once. */

/* Exit status of a role that could not start for a reason that trying again will not cure (a newer
 * database, a missing module): its last log line says why. */
#define ACCEL_EXIT_CONFIG 78 /* EX_CONFIG */

#endif
