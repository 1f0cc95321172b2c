/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_CLI_WAITING_H
#define ACCEL_CLI_WAITING_H

/* Progress of work that cannot say how far it is: a line on the terminal of standard error from the
 * first second on, "run: 12 s", that counts by itself while the caller is busy. Nothing where there
 * is no terminal. And what a signal that ends the program is to leave behind: neither that line nor
 * a file that is half written. */

#include <pthread.h>
#include <stdbool.h>
#include <stdint.h>

struct accel_waiting {
    pthread_t thread;
    pthread_mutex_t lock; /* of what follows */
    pthread_cond_t wake;
    bool started, ended;
    int64_t begun_ms;
    char text[64];
};

/* To be ended by accel_waiting_end, before *w goes. One at a time. */
void accel_waiting_begin(struct accel_waiting *w, const char *text);
/* What goes on from now on; control characters of the text are not shown. */
void accel_waiting_say(struct accel_waiting *w, const char *text);
/* Takes the line away until its next second: call it before something is printed. */
void accel_waiting_hide(struct accel_waiting *w);
/* For ACCEL_CLEANUP too; more than once is fine, and so is one that was all zeroes. */
void accel_waiting_end(struct accel_waiting *w);

/* The file that is removed if a signal ends the program from now on; NULL: none any more. The name
 * stays the caller's and has to live until then. */
void accel_waiting_unfinished(const char *path);

#endif
