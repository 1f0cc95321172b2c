/* SPDX-License-Identifier: Apache-2.0 */
/* Calling a function of a shared library by name and signature, without libffi. */
#include <dlfcn.h>
#include <stdio.h>
#include <string.h>

#include "base/mem.h"
#include "hardware/host_live.h"

#define ARGS_MAX 8

struct library {
    struct library *next;
    void *handle;
    char name[];
};

struct accel_libraries {
    struct library *first;
};

void accel_libraries_free(struct accel_libraries *libraries)
{
    if (libraries == NULL)
        return;
    while (libraries->first != NULL) {
        struct library *next = libraries->first->next;
        dlclose(libraries->first->handle);
        accel_free(libraries->first);
        libraries->first = next;
    }
    accel_free(libraries);
}

static struct library *find(const struct accel_libraries *libraries, const char *name)
{
    for (struct library *at = libraries != NULL ? libraries->first : NULL; at; at = at->next)
        if (strcmp(at->name, name) == 0)
            return at;
    return NULL;
}

bool accel_libraries_has(const struct accel_libraries *libraries, const char *library)
{
    return find(libraries, library) != NULL;
}

int accel_signature_check(const char *signature, size_t *args, struct accel_error *err)
{
    const size_t length = strlen(signature);

    if (length < 1 || length > 1 + ARGS_MAX)
        return accel_fail(err, ACCEL_E_INVALID,
                          "signature \"%s\": a result and at most %d "
                          "arguments, one letter each",
                          signature, ARGS_MAX);
    if (strchr("iulpv", signature[0]) == NULL)
        return accel_fail(err, ACCEL_E_INVALID, "signature \"%s\": a result is one of iulpv",
                          signature);
    if (strspn(signature + 1, "iulpsb") != length - 1)
        return accel_fail(err, ACCEL_E_INVALID, "signature \"%s\": an argument is one of iulpsb",
                          signature);
    *args = length - 1;
    return ACCEL_OK;
}

static int load(struct accel_libraries **libraries, const char *name, const char *file,
                struct library **out, struct accel_error *err)
{
    struct library *library = find(*libraries, name);

    if (library != NULL) {
        *out = library;
        return ACCEL_OK;
    }
    if (*libraries == NULL && (*libraries = accel_calloc(1, sizeof(**libraries))) == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to load %s", name);
    library = accel_malloc(sizeof(*library) + strlen(name) + 1);
    if (library == NULL)
        return accel_fail(err, ACCEL_E_NOMEM, "no memory to load %s", name);
    strcpy(library->name, name);
    library->handle = dlopen(file, RTLD_NOW | RTLD_LOCAL);
    if (library->handle == NULL) {
        accel_free(library);
        return accel_fail(err, ACCEL_E_NOT_FOUND, "library %s: %s", name, dlerror());
    }
    library->next = (*libraries)->first;
    (*libraries)->first = library;
    *out = library;
    return ACCEL_OK;
}

/* Every argument goes as one general register (or one 8-byte stack slot): on the LP64 calling
 * conventions of x86-64 and AArch64 a callee that takes an int reads the low half of it. */
typedef intptr_t word;
_Static_assert(sizeof(word) == 8, "library calls are written for LP64 machines");

typedef word fn0(void);
typedef word fn1(word);
typedef word fn2(word, word);
typedef word fn3(word, word, word);
typedef word fn4(word, word, word, word);
typedef word fn5(word, word, word, word, word);
typedef word fn6(word, word, word, word, word, word);
typedef word fn7(word, word, word, word, word, word, word);
typedef word fn8(word, word, word, word, word, word, word, word);

/* The callee has a type of its own: a sanitizer that checks calls by type would object. */
#if defined(__clang__)
__attribute__((no_sanitize("function")))
#endif
static word
invoke(void *f, size_t count, const word a[ARGS_MAX])
{
    switch (count) {
    case 0:
        return ((fn0 *)f)();
    case 1:
        return ((fn1 *)f)(a[0]);
    case 2:
        return ((fn2 *)f)(a[0], a[1]);
    case 3:
        return ((fn3 *)f)(a[0], a[1], a[2]);
    case 4:
        return ((fn4 *)f)(a[0], a[1], a[2], a[3]);
    case 5:
        return ((fn5 *)f)(a[0], a[1], a[2], a[3], a[4]);
    case 6:
        return ((fn6 *)f)(a[0], a[1], a[2], a[3], a[4], a[5]);
    case 7:
        return ((fn7 *)f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6]);
    default:
        return ((fn8 *)f)(a[0], a[1], a[2], a[3], a[4], a[5], a[6], a[7]);
    }
}

static word to_word(char letter, const struct accel_value *from)
{
    switch (letter) {
    case 'i':
        return (int32_t)from->value.integer;
    case 'u':
        return (word)(uint32_t)from->value.integer;
    case 'l':
        return (word)from->value.integer;
    case 'p':
        return (word)from->value.handle;
    case 's':
        return (word)from->value.string;
    default:
        return (word)from->value.buffer.bytes;
    }
}

int accel_libraries_call(struct accel_libraries **libraries, const char *name, const char *file,
                         const char *symbol, const char *signature, struct accel_value *result,
                         struct accel_value *args, struct accel_error *err)
{
    struct library *library = NULL;
    word words[ARGS_MAX] = {0};
    size_t count;
    int rc = accel_signature_check(signature, &count, err);

    if (rc == ACCEL_OK)
        rc = load(libraries, name, file, &library, err);
    if (rc != ACCEL_OK)
        return rc;
    void *function = dlsym(library->handle, symbol);
    if (function == NULL)
        return accel_fail(err, ACCEL_E_NOT_FOUND, "library %s has no function %s", name, symbol);
    for (size_t i = 0; i < count; i++)
        words[i] = to_word(signature[1 + i], &args[i]);
    const word answer = invoke(function, count, words);
    if (result == NULL)
        return ACCEL_OK;
    memset(result, 0, sizeof(*result));
    switch (signature[0]) {
    case 'i':
        result->value.integer = (int32_t)answer;
        break;
    case 'u':
        result->value.integer = (uint32_t)answer;
        break;
    case 'l':
        result->value.integer = answer;
        break;
    case 'p':
        result->value.handle = (void *)answer;
        break;
    default:
        break;
    }
    return ACCEL_OK;
}
