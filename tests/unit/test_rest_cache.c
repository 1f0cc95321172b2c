/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/cache.h"

#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "tap.h"

static bool holds(struct accel_cache *cache, const char *key, uint64_t generation, const char *text)
{
    const struct accel_cached *cached = accel_cache_get(cache, key, generation);
    const bool same = cached != NULL && cached->size == strlen(text) &&
                      memcmp(cached->data, text, cached->size) == 0;

    accel_cache_release(cache, cached);
    return same;
}

static void put(struct accel_cache *cache, const char *key, uint64_t generation, const char *text)
{
    accel_cache_put(cache, key, generation, text, strlen(text), "W/\"1\"");
}

static void an_answer_is_kept_for_its_generation(void)
{
    struct accel_cache *cache = accel_cache_new(1 << 20);
    const struct accel_cached *held;

    ok(accel_cache_get(cache, "a", 1) == NULL, "nothing is there at first");
    put(cache, "a", 1, "first");
    ok(holds(cache, "a", 1, "first") && accel_cache_get(cache, "b", 1) == NULL,
       "what was put is there, under its key");
    ok(accel_cache_get(cache, "a", 2) == NULL, "the store has changed: it is not");
    held = accel_cache_get(cache, "a", 1);
    put(cache, "a", 2, "second");
    ok(holds(cache, "a", 2, "second") && accel_cache_get(cache, "a", 1) == NULL,
       "the new one takes its place");
    ok(held->size == 5 && memcmp(held->data, "first", 5) == 0 && strcmp(held->etag, "W/\"1\"") == 0,
       "who still sends the old one has it");
    accel_cache_release(cache, held);
    put(cache, "empty", 2, "");
    ok(holds(cache, "empty", 2, ""), "an empty answer is one too");
    accel_cache_release(cache, NULL);
    accel_cache_free(cache);
}

static void it_stays_within_its_bounds(void)
{
    struct accel_cache *cache = accel_cache_new(4000);
    char text[1001], key[16], long_key[200];
    unsigned there = 0;

    memset(text, 'x', 1000);
    text[1000] = '\0';
    for (int i = 0; i < 6; i++) {
        snprintf(key, sizeof(key), "%d", i);
        put(cache, key, 1, text);
        ok(holds(cache, "0", 1, text), "what is asked for all the time stays (%d)", i);
    }
    for (int i = 0; i < 6; i++) {
        snprintf(key, sizeof(key), "%d", i);
        there += holds(cache, key, 1, text);
    }
    ok(there == 4, "four of a quarter each fit: %u", there);
    accel_cache_put(cache, "big", 1, text, 1001, "");
    ok(accel_cache_get(cache, "big", 1) == NULL, "one of more than a quarter is not kept");
    memset(long_key, 'k', sizeof(long_key) - 1);
    long_key[sizeof(long_key) - 1] = '\0';
    put(cache, long_key, 1, "x");
    ok(accel_cache_get(cache, long_key, 1) == NULL, "nor one with a long key");
    for (int i = 0; i < 200; i++) {
        snprintf(key, sizeof(key), "many%d", i);
        put(cache, key, 1, "x");
    }
    ok(holds(cache, "many199", 1, "x") && accel_cache_get(cache, "many0", 1) == NULL,
       "the number of answers is bounded too");
    accel_cache_free(cache);
}

struct hammer {
    struct accel_cache *cache;
    _Atomic uint64_t generation;
    _Atomic unsigned wrong, hits;
};

/* Every answer says its generation: none is given out for another. */
static void *hammer(void *context)
{
    struct hammer *h = context;
    char text[32];

    for (int i = 0; i < 20000; i++) {
        const uint64_t now = atomic_load(&h->generation);
        const struct accel_cached *cached = accel_cache_get(h->cache, "key", now);

        snprintf(text, sizeof(text), "%llu", (unsigned long long)now);
        if (cached == NULL) {
            put(h->cache, "key", now, text);
        } else {
            h->hits++;
            h->wrong +=
                cached->size != strlen(text) || memcmp(cached->data, text, cached->size) != 0;
        }
        accel_cache_release(h->cache, cached);
        if (i % 64 == 0)
            h->generation++;
    }
    return NULL;
}

static void threads_never_see_an_old_answer(void)
{
    struct hammer h = {.cache = accel_cache_new(1 << 20)};
    pthread_t threads[4];

    for (int i = 0; i < 4; i++)
        pthread_create(&threads[i], NULL, hammer, &h);
    for (int i = 0; i < 4; i++)
        pthread_join(threads[i], NULL);
    ok(h.wrong == 0 && h.hits > 0, "%u answers, none of another generation", h.hits);
    accel_cache_free(h.cache);
}

static void survives_every_failed_allocation(void)
{
    for (long nth = 0;; nth++) {
        accel_fault_arm(nth);
        struct accel_cache *cache = accel_cache_new(1 << 20);
        if (cache != NULL)
            put(cache, "a", 1, "text");
        const bool reached = accel_fault_disarm();
        if (!reached) {
            ok(cache != NULL && holds(cache, "a", 1, "text"),
               "with its memory it keeps the answer");
            accel_cache_free(cache);
            return;
        }
        ok(cache == NULL || accel_cache_get(cache, "a", 1) == NULL,
           "allocation %ld failed: nothing is kept", nth);
        accel_cache_free(cache);
    }
}

int main(void)
{
    an_answer_is_kept_for_its_generation();
    it_stays_within_its_bounds();
    threads_never_see_an_old_answer();
    survives_every_failed_allocation();
    return tap_done();
}
