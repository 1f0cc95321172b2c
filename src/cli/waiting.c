/* SPDX-License-Identifier: Apache-2.0 */
#include "cli/waiting.h"

#include <inttypes.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "base/clock.h"
#include "base/util.h"

#define FIRST_MS 1000
#define NEXT_MS  500

static const char erase[] = "\r\033[K";

/* For the signal handler: is a line drawn, and which file is unfinished? */
static volatile sig_atomic_t visible;
static const char *volatile unfinished;

/* ---------------------------------------------------------------- signals */

/* Only what is safe in a handler; SA_RESETHAND makes the second raise end the program as the first
 * would have. */
static void leave_clean(int signal)
{
    if (unfinished != NULL)
        unlink(unfinished);
    if (visible && write(STDERR_FILENO, erase, sizeof(erase) - 1) < 0)
        visible = 0;
    raise(signal);
}

static void catch_signals(void)
{
    static const int ends[] = {SIGINT, SIGTERM, SIGHUP, SIGXFSZ};
    const struct sigaction action = {.sa_handler = leave_clean, .sa_flags = (int)SA_RESETHAND};
    struct sigaction before;

    for (size_t i = 0; i < ACCEL_COUNT(ends); i++)
        /* What the caller has ignored (nohup) stays so. */
        if (sigaction(ends[i], NULL, &before) == 0 && before.sa_handler == SIG_DFL)
            sigaction(ends[i], &action, NULL);
}

void accel_waiting_unfinished(const char *path)
{
    unfinished = path;
    if (path != NULL)
        catch_signals();
}

/* ---------------------------------------------------------------- the line */

static void *draw(void *context)
{
    struct accel_waiting *w = context;
    int64_t next = w->begun_ms + FIRST_MS;

    pthread_mutex_lock(&w->lock);
    while (!w->ended) {
        const struct timespec until = {.tv_sec = next / 1000, .tv_nsec = next % 1000 * 1000000};

        if (pthread_cond_timedwait(&w->wake, &w->lock, &until) == 0 || w->ended)
            continue; /* woken: the end */
        visible = 1;
        fprintf(stderr, "\r%s: %" PRId64 " s\033[K", w->text,
                (accel_now_ms() - w->begun_ms) / 1000);
        fflush(stderr);
        next += NEXT_MS;
    }
    pthread_mutex_unlock(&w->lock);
    return NULL;
}

static void set_text(struct accel_waiting *w, const char *text)
{
    snprintf(w->text, sizeof(w->text), "%s", text);
    for (char *c = w->text; *c != '\0'; c++)
        if ((unsigned char)*c < 0x20 || *c == 0x7f)
            *c = ' ';
}

void accel_waiting_begin(struct accel_waiting *w, const char *text)
{
    pthread_condattr_t monotonic;

    *w = (struct accel_waiting){.begun_ms = accel_now_ms()};
    if (!isatty(STDERR_FILENO))
        return;
    set_text(w, text);
    if (pthread_condattr_init(&monotonic) != 0)
        return;
    pthread_condattr_setclock(&monotonic, CLOCK_MONOTONIC);
    pthread_mutex_init(&w->lock, NULL);
    pthread_cond_init(&w->wake, &monotonic);
    pthread_condattr_destroy(&monotonic);
    catch_signals();
    /* Who cannot have a thread waits without a line. */
    w->started = pthread_create(&w->thread, NULL, draw, w) == 0;
}

void accel_waiting_say(struct accel_waiting *w, const char *text)
{
    if (!w->started)
        return;
    pthread_mutex_lock(&w->lock);
    set_text(w, text);
    pthread_mutex_unlock(&w->lock);
}

static void hide(void)
{
    if (visible)
        fputs(erase, stderr);
    visible = 0;
}

void accel_waiting_hide(struct accel_waiting *w)
{
    if (!w->started)
        return;
    pthread_mutex_lock(&w->lock);
    hide();
    pthread_mutex_unlock(&w->lock);
}

void accel_waiting_end(struct accel_waiting *w)
{
    if (!w->started)
        return;
    pthread_mutex_lock(&w->lock);
    w->ended = true;
    pthread_cond_signal(&w->wake);
    pthread_mutex_unlock(&w->lock);
    pthread_join(w->thread, NULL);
    hide();
    pthread_cond_destroy(&w->wake);
    pthread_mutex_destroy(&w->lock);
    w->started = false;
}
