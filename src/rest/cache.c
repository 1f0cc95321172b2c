/* SPDX-License-Identifier: Apache-2.0 */
#include "rest/cache.h"

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"

#define ENTRIES_MAX 64

struct entry {
    struct accel_cached cached; /* first: what is handed out */
    char *key;                  /* behind it in the same piece of memory, as the data */
    uint64_t generation, used;  /* (L) used: when, in calls */
    unsigned references;        /* (L) the table's and those handed out */
};

struct accel_cache {
    pthread_mutex_t lock; /* (L) */
    struct entry *entries[ENTRIES_MAX];
    size_t bytes, bytes_max;
    uint64_t calls;
};

struct accel_cache *accel_cache_new(size_t bytes_max)
{
    struct accel_cache *cache = accel_calloc(1, sizeof(*cache));

    if (cache == NULL)
        return NULL;
    pthread_mutex_init(&cache->lock, NULL);
    cache->bytes_max = bytes_max;
    return cache;
}

/* Lock held. */
static void unref(struct entry *entry)
{
    if (entry != NULL && --entry->references == 0)
        accel_free(entry);
}

/* Lock held. */
static void drop(struct accel_cache *cache, size_t slot)
{
    if (cache->entries[slot] == NULL)
        return;
    cache->bytes -= cache->entries[slot]->cached.size;
    unref(cache->entries[slot]);
    cache->entries[slot] = NULL;
}

void accel_cache_free(struct accel_cache *cache)
{
    if (cache == NULL)
        return;
    for (size_t i = 0; i < ENTRIES_MAX; i++)
        drop(cache, i);
    pthread_mutex_destroy(&cache->lock);
    accel_free(cache);
}

/* Lock held: the slot of the key, ENTRIES_MAX when there is none. */
static size_t find(const struct accel_cache *cache, const char *key)
{
    size_t i = 0;

    while (i < ENTRIES_MAX &&
           (cache->entries[i] == NULL || strcmp(cache->entries[i]->key, key) != 0))
        i++;
    return i;
}

const struct accel_cached *accel_cache_get(struct accel_cache *cache, const char *key,
                                           uint64_t generation)
{
    struct entry *found = NULL;

    pthread_mutex_lock(&cache->lock);
    const size_t slot = find(cache, key);
    if (slot < ENTRIES_MAX && cache->entries[slot]->generation == generation) {
        found = cache->entries[slot];
        found->references++;
        found->used = ++cache->calls;
    }
    pthread_mutex_unlock(&cache->lock);
    return found != NULL ? &found->cached : NULL;
}

void accel_cache_release(struct accel_cache *cache, const struct accel_cached *cached)
{
    if (cached == NULL)
        return;
    pthread_mutex_lock(&cache->lock);
    unref((struct entry *)cached);
    pthread_mutex_unlock(&cache->lock);
}

static struct entry *entry_new(const char *key, uint64_t generation, const char *data, size_t size,
                               const char *etag)
{
    const size_t key_size = strlen(key) + 1;
    struct entry *entry = accel_malloc(sizeof(*entry) + key_size + size);
    char *bytes = (char *)(entry + 1);

    if (entry == NULL)
        return NULL;
    *entry = (struct entry){.key = bytes, .generation = generation, .references = 1};
    memcpy(bytes, key, key_size);
    memcpy(bytes + key_size, data, size);
    entry->cached.data = bytes + key_size;
    entry->cached.size = size;
    snprintf(entry->cached.etag, sizeof(entry->cached.etag), "%s", etag);
    return entry;
}

/* Lock held: an empty slot, made by dropping what was not asked for the longest. */
static size_t make_room(struct accel_cache *cache, size_t size)
{
    for (;;) {
        size_t oldest = ENTRIES_MAX, empty = ENTRIES_MAX;

        for (size_t i = 0; i < ENTRIES_MAX; i++)
            if (cache->entries[i] == NULL)
                empty = i;
            else if (oldest == ENTRIES_MAX ||
                     cache->entries[i]->used < cache->entries[oldest]->used)
                oldest = i;
        if (empty < ENTRIES_MAX && cache->bytes + size <= cache->bytes_max)
            return empty;
        drop(cache, oldest);
    }
}

void accel_cache_put(struct accel_cache *cache, const char *key, uint64_t generation,
                     const char *data, size_t size, const char *etag)
{
    struct entry *entry;
    size_t slot;

    if (size > cache->bytes_max / 4 || strlen(key) > cache->bytes_max / ENTRIES_MAX)
        return;
    entry = entry_new(key, generation, data, size, etag);
    if (entry == NULL)
        return; /* it is asked of the store again */
    pthread_mutex_lock(&cache->lock);
    slot = find(cache, key);
    if (slot < ENTRIES_MAX)
        drop(cache, slot);
    slot = make_room(cache, size);
    entry->used = ++cache->calls;
    cache->entries[slot] = entry;
    cache->bytes += size;
    pthread_mutex_unlock(&cache->lock);
}
