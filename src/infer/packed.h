/* SPDX-License-Identifier: Apache-2.0 */
#ifndef ACCEL_INFER_PACKED_H
#define ACCEL_INFER_PACKED_H

/* The packed form of a model: one file that is mapped and shared.
 *
 *   header | graph (a stream of numbers and strings) | data: constants and packed weights, each at
 * a multiple of 64
 *
 * Whoever maps it trusts nothing: the graph is rebuilt through the same calls as an ONNX file's, so
 * that attributes, types and shapes pass the same checks, every reference into the data is held
 * against its size, and weights must have the bytes that the operator asks for. The numbers inside
 * the weights are only ever multiplied. Shapes and the plan are made again: that takes less than
 * checking stored ones would. */

#include <stdint.h>

#define PACKED_MAGIC   "ACCLPACK"
#define PACKED_VERSION 2

struct packed_header {
    char magic[8];
    uint32_t version;
    uint32_t cpu; /* ACCEL_CPU_* bits the weights are packed for */
    uint64_t graph_size;
    uint64_t data_offset; /* a multiple of 4096 */
    uint64_t data_size;
    uint64_t reserved[3];
};

#define PACKED_PAGE    4096u      /* the data begins at a multiple of it */
#define PACKED_NO_DATA UINT64_MAX /* a constant whose plain bytes were not kept */

#endif
