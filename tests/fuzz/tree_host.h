/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_FUZZ_TREE_HOST_H
#define TESTS_FUZZ_TREE_HOST_H

/* A host of acceld/driver.h whose files come from the fuzz input, in the form of
 * drivers/pci/testdata/zoo.tree: lines "path=content" (\n and \xNN are bytes) and "path->target" of
 * a link; # begins a comment. acceld/cpuid is what CPUID answers. */

#include "hardware/host.h"

struct tree_host;

/* Owned by the caller: tree_host_free. */
struct tree_host *tree_host_new(const uint8_t *data, size_t size);
const struct accel_host *tree_host_get(const struct tree_host *tree);
void tree_host_free(struct tree_host *tree);

/* What the hardware process does with a module: open, discover twice, read, watch, close; the list
 * it makes goes through the packet and the reader of the other side. */
void tree_host_drive(const struct accel_driver *driver, const uint8_t *data, size_t size);

#endif
