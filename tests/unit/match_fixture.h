/* SPDX-License-Identifier: Apache-2.0 */
#ifndef TESTS_MATCH_FIXTURE_H
#define TESTS_MATCH_FIXTURE_H

/* A small model and two devices whose times can be worked out by hand. */

#include <math.h>
#include <string.h>

#include "base/mem.h"
#include "match/match.h"
#include "match/match_internal.h"
#include "tap.h"

static inline bool near(double a, double b)
{
    return fabs(a - b) <= 1e-9 * fmax(fabs(a), fabs(b));
}

#define CONV(flops_, bytes_)                                                                   \
    {                                                                                          \
        .name = "c", .op = "Conv", .fused = "", .domain = "", .kind = ACCEL_KIND_CONV,         \
        .precision = ACCEL_DTYPE_FLOAT, .shape = "", .flops = (flops_), .bytes_read = (bytes_) \
    }
#define MOVE(bytes_)                                                                        \
    {                                                                                       \
        .name = "m", .op = "Transpose", .fused = "", .domain = "", .kind = ACCEL_KIND_MOVE, \
        .precision = ACCEL_DTYPE_FLOAT, .shape = "", .bytes_written = (bytes_)              \
    }

#define RATE(kind_, flops_, bytes_, flops_per_s_, bytes_per_s_, overhead_, spread_)              \
    {                                                                                            \
        .kind = (kind_), .precision = ACCEL_DTYPE_FLOAT, .flops = (flops_), .bytes = (bytes_),   \
        .flops_per_s = (flops_per_s_), .bytes_per_s = (bytes_per_s_), .overhead_s = (overhead_), \
        .spread = (spread_)                                                                      \
    }

#define FACT(name_, number_, basis_)                                              \
    {                                                                             \
        .name = (name_), .number = (number_), .basis = (basis_), .module = "test" \
    }

/* 1 Gflop of convolution, then 1 MB moved. */
static const struct accel_op_analysis two_ops[] = {CONV(1e9, 4e6), MOVE(1e6)};
static const struct accel_analysis two = {.producer = "",
                                          .precision = ACCEL_DTYPE_FLOAT,
                                          .weights_bytes = 4000000,
                                          .arena_bytes = 2000000,
                                          .io_bytes = 600000,
                                          .runnable = true,
                                          .ops_count = 2,
                                          .ops = two_ops};

static const struct accel_device host = {.uuid = {"11111111-1111-4111-8111-111111111111"},
                                         .identity = "cpu:0",
                                         .type = "CPU",
                                         .status = "enabled",
                                         .health = "ok",
                                         .runnable = true};
static const struct accel_device card = {.uuid = {"22222222-2222-4222-8222-222222222222"},
                                         .identity = "pci:0000:3b:00.0",
                                         .pci_address = "0000:3b:00.0",
                                         .type = "GPU",
                                         .status = "enabled",
                                         .health = "ok"};

static const struct accel_rate host_rates[] = {
    RATE(ACCEL_KIND_CONV, 1e9, 4e6, 1e11, 4e8, 1e-5, 0.05),
    RATE(ACCEL_KIND_MOVE, 0, 1e6, 0, 1e10, 0, 0),
};
static const struct accel_fact card_facts[] = {
    FACT(ACCEL_FACT_PEAK_FP32, 1e13, ACCEL_BASIS_REPORTED),
    FACT(ACCEL_FACT_MEMORY_BANDWIDTH, 1e12, ACCEL_BASIS_REPORTED),
    FACT(ACCEL_FACT_LINK_BANDWIDTH, 1.2e10, ACCEL_BASIS_REPORTED),
    FACT(ACCEL_FACT_MEMORY_BYTES, 8e9, ACCEL_BASIS_REPORTED),
    FACT(ACCEL_FACT_POWER_LIMIT, 200, ACCEL_BASIS_REPORTED),
};

static const struct accel_resource on_host ACCEL_UNUSED = {
    .device = &host, .rates = host_rates, .rates_count = ACCEL_COUNT(host_rates)};
static const struct accel_resource on_card ACCEL_UNUSED = {
    .device = &card, .facts = card_facts, .facts_count = ACCEL_COUNT(card_facts)};

#endif
