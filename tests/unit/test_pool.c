/* SPDX-License-Identifier: Apache-2.0 */
#include "base/pool.h"

#include <dirent.h>
#include <limits.h>
#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/mem.h"
#include "tap.h"

struct visits {
    size_t count, grain;
    unsigned threads;
    _Atomic unsigned char *seen; /* how often each index was visited */
    atomic_bool ragged;          /* a range that is no multiple of the grain, nor the last */
    atomic_bool strange_thread;
    _Atomic unsigned callers; /* bit per thread that took part */
    int plain;                /* written before the run, read in it: for the thread sanitizer */
};

static void visit(void *context, size_t begin, size_t end, unsigned thread)
{
    struct visits *v = context;

    if (begin >= end || end > v->count || begin % v->grain != 0 ||
        ((end - begin) % v->grain != 0 && end != v->count))
        atomic_store(&v->ragged, true);
    if (thread >= v->threads || v->plain != 42)
        atomic_store(&v->strange_thread, true);
    atomic_fetch_or(&v->callers, 1u << thread);
    for (size_t i = begin; i < end && i < v->count; i++)
        atomic_fetch_add_explicit(&v->seen[i], 1, memory_order_relaxed);
}

static bool covers(struct accel_pool *pool, size_t count, size_t grain)
{
    struct visits v = {.count = count, .grain = grain, .threads = accel_pool_threads(pool)};
    bool once = true;

    v.seen = accel_calloc(count + 1, 1);
    v.plain = 42;
    accel_pool_run(pool, count, grain, visit, &v);
    for (size_t i = 0; i < count; i++)
        once = once && v.seen[i] == 1;
    accel_free((void *)v.seen);
    return once && !v.ragged && !v.strange_thread;
}

static void every_index_is_visited_once(void)
{
    static const size_t counts[] = {0, 1, 2, 3, 7, 8, 9, 64, 100, 1000, 4097};
    static const size_t grains[] = {1, 2, 3, 16, 5000};

    for (unsigned threads = 1; threads <= 5; threads++) {
        struct accel_pool *pool = NULL;
        struct accel_error err;
        bool all = true;

        if (!ok(accel_pool_new(threads, &pool, &err) == ACCEL_OK, "a pool of %u is made", threads))
            return;
        for (size_t c = 0; c < ACCEL_COUNT(counts); c++)
            for (size_t g = 0; g < ACCEL_COUNT(grains); g++)
                all = covers(pool, counts[c], grains[g]) && all;
        ok(all, "with %u threads every index is visited once, in multiples of the grain", threads);
        ok(accel_pool_threads(pool) == threads, "it says that it has %u threads", threads);
        accel_pool_free(pool);
    }
    ok(covers(NULL, 100, 3), "no pool means this thread");
    ok(accel_pool_threads(NULL) == 1, "no pool counts as one thread");
}

struct stopping {
    _Atomic size_t done, asked; /* indices done, questions */
    size_t enough;              /* stops when so many are done */
};

static bool has_enough(void *context)
{
    struct stopping *s = context;

    atomic_fetch_add(&s->asked, 1);
    return atomic_load(&s->done) >= s->enough;
}

static void count_done(void *context, size_t begin, size_t end, unsigned thread)
{
    struct stopping *s = context;

    (void)thread;
    atomic_fetch_add(&s->done, end - begin);
}

/* How much of 1000 indices is done, in so many pieces, when it is given up after `enough`. */
static size_t done_of_1000(struct accel_pool *pool, double pieces, struct stopping *s)
{
    atomic_store(&s->done, 0);
    atomic_store(&s->asked, 0);
    accel_pool_expect(pool, pieces);
    accel_pool_run_long(pool, 1000, 2, count_done, s);
    return atomic_load(&s->done);
}

static void long_work_can_be_given_up(void)
{
    for (unsigned threads = 1; threads <= 3; threads += 2) {
        struct accel_pool *pool = NULL;
        struct accel_error err;
        struct stopping s = {.enough = SIZE_MAX};

        if (!ok(accel_pool_new(threads, &pool, &err) == ACCEL_OK, "a pool of %u is made", threads))
            return;
        ok(!accel_pool_stopped(pool) && done_of_1000(pool, 1e9, &s) == 1000 && s.asked == 0,
           "nobody to ask: all is done");
        accel_pool_watch(pool, has_enough, &s);
        ok(done_of_1000(pool, 1e9, &s) == 1000 && s.asked >= 500, "asked for every grain: %zu",
           atomic_load(&s.asked));
        ok(done_of_1000(pool, 100, &s) == 1000 && s.asked >= 100 && s.asked < 200,
           "asked for every piece: %zu", atomic_load(&s.asked));
        ok(done_of_1000(pool, 0, &s) == 1000 && s.asked == 1, "little work: asked once");
        s.enough = 300;
        const size_t done = done_of_1000(pool, 1e9, &s);
        /* Each of the others may be at a grain of its own. */
        ok(done >= 300 && done <= 300 + 2 * (size_t)threads, "given up at 300 of 1000: %zu", done);
        ok(accel_pool_stopped(pool), "it stays given up");
        s.enough = 0;
        ok(done_of_1000(pool, 0, &s) == 0, "nothing begins that is given up");
        accel_pool_run(pool, 1000, 2, count_done, &s);
        ok(s.done == 1000, "what must be done is done nonetheless");
        ok(covers(pool, 1000, 3), "so is the next job");
        accel_pool_free(pool);
    }
    ok(!accel_pool_stopped(NULL), "no pool is never stopped");
}

/* Small jobs one after the other: a worker that wakes late for one must not disturb the next. */
static void jobs_follow_each_other(void)
{
    struct accel_pool *pool = NULL;
    struct accel_error err;
    bool all = true;

    if (accel_pool_new(4, &pool, &err) != ACCEL_OK)
        return;
    for (size_t i = 0; i < 20000; i++)
        all = covers(pool, i % 13, 1 + i % 3) && all;
    ok(all, "20000 small jobs in a row are each done once");
    accel_pool_free(pool);
}

struct meeting {
    pthread_barrier_t barrier;
};

static void meet(void *context, size_t begin, size_t end, unsigned thread)
{
    struct meeting *m = context;

    (void)thread;
    for (size_t i = begin; i < end; i++)
        pthread_barrier_wait(&m->barrier);
}

static void the_threads_work_at_the_same_time(void)
{
    struct accel_pool *pool = NULL;
    struct meeting m;
    struct accel_error err;

    if (accel_pool_new(3, &pool, &err) != ACCEL_OK)
        return;
    pthread_barrier_init(&m.barrier, NULL, 3);
    /* Each index waits for two others: one thread alone would hang, and the alarm would end it. */
    alarm(60);
    for (int i = 0; i < 100; i++)
        accel_pool_run(pool, 3, 1, meet, &m);
    alarm(0);
    ok(true, "three threads meet inside one job, 100 times");
    pthread_barrier_destroy(&m.barrier);
    accel_pool_free(pool);
}

/* True when every thread of this process but the caller sleeps, by /proc/self/task/N/stat. */
static bool others_sleep(void)
{
    DIR *tasks = opendir("/proc/self/task");
    bool all = tasks != NULL;
    const struct dirent *entry;

    while (tasks != NULL && (entry = readdir(tasks)) != NULL) {
        char path[300], stat[512];
        const char *state;
        FILE *f;

        if (entry->d_name[0] == '.' || strtol(entry->d_name, NULL, 10) == gettid())
            continue;
        snprintf(path, sizeof(path), "/proc/self/task/%s/stat", entry->d_name);
        f = fopen(path, "r");
        state = f != NULL && fgets(stat, sizeof(stat), f) != NULL ? strrchr(stat, ')') : NULL;
        all = all && state != NULL && state[2] == 'S';
        if (f != NULL)
            fclose(f);
    }
    if (tasks != NULL)
        closedir(tasks);
    return all;
}

static void idle_workers_sleep(void)
{
    struct accel_pool *pool = NULL;
    struct accel_error err;

    if (accel_pool_new(4, &pool, &err) != ACCEL_OK)
        return;
    ok(covers(pool, 100, 1), "a pool of 4 works");
    /* They spin for some microseconds first; one that never slept would hang here, until the alarm.
     */
    alarm(60);
    while (!others_sleep())
        sched_yield();
    alarm(0);
    ok(covers(pool, 100, 1), "idle workers go to sleep, and wake for the next job");
    accel_pool_free(pool);
}

static void bad_thread_counts_are_refused(void)
{
    struct accel_pool *pool = NULL;
    struct accel_error err;

    ok(accel_pool_new(0, &pool, &err) == ACCEL_E_LIMIT && pool == NULL, "no thread is refused");
    ok(accel_pool_new(1u << 20, &pool, &err) == ACCEL_E_LIMIT, "a million threads are refused");
    accel_pool_free(NULL);
}

static void survives_every_failed_allocation(void)
{
    struct accel_error err;

    for (long nth = 0;; nth++) {
        struct accel_pool *pool = NULL;

        /* accel_usable_cpus() allocates too, and gets by without. */
        accel_fault_arm(nth);
        const int rc = accel_pool_new(2, &pool, &err);
        const bool reached = accel_fault_disarm();
        ok(rc == ACCEL_OK ? covers(pool, 10, 1) : rc == ACCEL_E_NOMEM && pool == NULL,
           "a failed allocation %ld is reported or got by", nth);
        accel_pool_free(pool);
        if (!reached)
            return;
    }
}

static void write_file(const char *root, const char *path, const char *text)
{
    char full[512];

    snprintf(full, sizeof(full), "%s/%s", root, path);
    for (char *slash = full + strlen(root) + 1; (slash = strchr(slash, '/')) != NULL; slash++) {
        *slash = '\0';
        mkdir(full, 0700);
        *slash = '/';
    }
    FILE *f = fopen(full, "w");
    if (f == NULL || fputs(text, f) < 0 || fclose(f) != 0)
        printf("# cannot write %s\n", full);
}

static void remove_tree(const char *root)
{
    char command[600];

    snprintf(command, sizeof(command), "rm -rf '%s'", root);
    if (system(command) != 0)
        printf("# cannot remove %s\n", root);
}

static void quotas_are_read(void)
{
    static const struct {
        const char *what, *groups, *path1, *text1, *path2, *text2;
        unsigned want;
    } cases[] = {
        {"no cgroup is no limit", NULL, NULL, NULL, NULL, NULL, UINT_MAX},
        {"max is no limit", "0::/a\n", "sys/fs/cgroup/a/cpu.max", "max 100000\n", NULL, NULL,
         UINT_MAX},
        {"two and a half CPUs are three", "0::/a\n", "sys/fs/cgroup/a/cpu.max", "250000 100000\n",
         NULL, NULL, 3},
        {"a parent's tighter limit holds", "0::/a/b\n", "sys/fs/cgroup/a/b/cpu.max",
         "400000 100000\n", "sys/fs/cgroup/a/cpu.max", "200000 100000\n", 2},
        {"the container's own root counts", "0::/\n", "sys/fs/cgroup/cpu.max", "100000 100000\n",
         NULL, NULL, 1},
        {"version 1 works", "4:memory:/x\n3:cpu,cpuacct:/a\n",
         "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "150000\n",
         "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n", 2},
        {"version 1 without a limit", "3:cpu,cpuacct:/a\n",
         "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_quota_us", "-1\n",
         "sys/fs/cgroup/cpu,cpuacct/a/cpu.cfs_period_us", "100000\n", UINT_MAX},
        {"nonsense is no limit", "rubbish\n0::/a\n", "sys/fs/cgroup/a/cpu.max", "zero\n", NULL,
         NULL, UINT_MAX},
    };

    for (size_t i = 0; i < ACCEL_COUNT(cases); i++) {
        char root[] = "/tmp/acceld-test-XXXXXX";

        if (mkdtemp(root) == NULL)
            return;
        if (cases[i].groups != NULL)
            write_file(root, "proc/self/cgroup", cases[i].groups);
        if (cases[i].path1 != NULL)
            write_file(root, cases[i].path1, cases[i].text1);
        if (cases[i].path2 != NULL)
            write_file(root, cases[i].path2, cases[i].text2);
        ok(accel_cgroup_cpus(root) == cases[i].want, "cgroup: %s", cases[i].what);
        remove_tree(root);
    }
    ok(accel_usable_cpus() >= 1 && accel_usable_cpus() <= (unsigned)sysconf(_SC_NPROCESSORS_CONF),
       "between one and all CPUs are usable (%u)", accel_usable_cpus());
}

int main(void)
{
    every_index_is_visited_once();
    long_work_can_be_given_up();
    jobs_follow_each_other();
    the_threads_work_at_the_same_time();
    idle_workers_sleep();
    bad_thread_counts_are_refused();
    survives_every_failed_allocation();
    quotas_are_read();
    return tap_done();
}
