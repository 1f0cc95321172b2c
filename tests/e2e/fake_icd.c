/* SPDX-License-Identifier: Apache-2.0 */
/* A libOpenCL.so.1 of the tests with one GPU. The file FAKE_ICD names how it behaves: "good",
 * "alone" (no PCI), "crash", "hang", "exit", "stray" (threads and forks that outlive the question),
 * "lie" (sizes and counts that cannot be, texts without an end). */
#include <pthread.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

static char mode[16];

static int is(const char *word)
{
    return strcmp(mode, word) == 0;
}

static void *forever(void *context)
{
    for (;;)
        pause();
    return context;
}

static void misbehave(void)
{
    pthread_t thread;

    if (is("crash"))
        abort();
    if (is("hang"))
        forever(NULL);
    if (is("exit"))
        exit(3);
    if (is("stray")) {
        pthread_create(&thread, NULL, forever, NULL);
        if (fork() == 0) {
            setsid();
            if (fork() != 0)
                _exit(0);
            execlp("sleep", "fake-icd-stray", "1000", (char *)NULL);
            _exit(1);
        }
    }
}

__attribute__((visibility("default"))) int clGetPlatformIDs(uint32_t room, void **ids,
                                                            uint32_t *count)
{
    FILE *file = fopen(FAKE_ICD, "r");

    if (file == NULL || fscanf(file, "%15s", mode) != 1)
        abort();
    fclose(file);
    misbehave();
    if (ids != NULL && room > 0)
        ids[0] = mode;
    *count = is("lie") ? 4000000000u : 1;
    return 0;
}

__attribute__((visibility("default"))) int clGetDeviceIDs(void *platform, uint64_t type,
                                                          uint32_t room, void **ids,
                                                          uint32_t *count)
{
    (void)type;
    if (ids != NULL && room > 0)
        ids[0] = platform;
    *count = is("lie") ? 4000000000u : 1;
    return 0;
}

static int give(void *to, size_t room, const void *from, size_t size, size_t *written)
{
    if (written != NULL)
        *written = is("lie") ? SIZE_MAX : size;
    if (is("lie")) {
        memset(to, 0xff, room);
        return 0;
    }
    if (size > room)
        return -30;
    memcpy(to, from, size);
    return 0;
}

__attribute__((visibility("default"))) int clGetPlatformInfo(void *platform, uint32_t what,
                                                             size_t room, void *to, size_t *written)
{
    (void)platform;
    (void)what;
    return give(to, room, "Fake", sizeof("Fake"), written);
}

__attribute__((visibility("default"))) int clGetDeviceInfo(void *device, uint32_t what, size_t room,
                                                           void *to, size_t *written)
{
    static const struct {
        uint32_t what;
        const char *text;
    } texts[] = {
        {0x102B, " Fake GPU "},
        {0x102C, "Fake Inc"},
        {0x102D, "12.5"},
        {0x102F, "OpenCL 3.0 fake"},
    };
    static const struct {
        uint32_t what, size;
        uint64_t value;
    } numbers[] = {
        {0x1000, 8, 4},          {0x1002, 4, 80},          {0x1004, 8, 1024},  {0x100C, 4, 1500},
        {0x1010, 8, 4000000000}, {0x101F, 8, 16000000000}, {0x1023, 8, 49152}, {0x1027, 4, 1},
        {0x1032, 8, 63},         {0x1033, 8, 63},          {0x4000, 4, 7},     {0x4001, 4, 0},
    };
    static const uint32_t pci[4] = {FAKE_PCI};
    const char *extensions = is("alone") ? "cl_nv_device_attribute_query"
                                         : "cl_khr_pci_bus_info cl_nv_device_attribute_query "
                                           "cl_khr_fp16";

    (void)device;
    for (size_t i = 0; i < sizeof(texts) / sizeof(texts[0]); i++)
        if (texts[i].what == what)
            return give(to, room, texts[i].text, strlen(texts[i].text) + 1, written);
    for (size_t i = 0; i < sizeof(numbers) / sizeof(numbers[0]); i++)
        if (numbers[i].what == what)
            return give(to, room, &numbers[i].value, numbers[i].size, written);
    if (what == 0x1030)
        return give(to, room, extensions, strlen(extensions) + 1, written);
    if (what == 0x410F && !is("alone"))
        return give(to, room, pci, sizeof(pci), written);
    return is("lie") ? give(to, room, NULL, 0, written) : -30;
}
