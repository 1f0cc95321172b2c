/* SPDX-License-Identifier: Apache-2.0 */
#include "kinds.h"

#include <stddef.h>

#define ANY 0xffff /* no vendor and no device has this number */

static const struct pci_kind gpu = {.type = "GPU", .resource_class = "PGPU"};
static const struct pci_kind screen = {.type = "GPU", .resource_class = "PGPU", .host_only = true};
static const struct pci_kind fpga = {.type = "FPGA", .resource_class = "FPGA"};
static const struct pci_kind chip = {.type = "AICHIP", .resource_class = "CUSTOM_PCI"};
static const struct pci_kind qat = {.type = "QAT", .resource_class = "CUSTOM_QAT"};

/* The first line that fits counts. class is the upper 16 bits (base and sub-class), sub-class ff:
 * any of the base class. Ids: pci.ids; QAT: drivers/crypto/intel/qat; OPAE's device table. */
static const struct {
    uint16_t class, vendor, device;
    const struct pci_kind *kind;
} kinds[] = {
    /* Display controllers of management chips and of virtual machines: one frame buffer. */
    {0x03ff, 0x1a03, ANY, &screen}, /* ASPEED BMC */
    {0x03ff, 0x102b, ANY, &screen}, /* Matrox G200 in BMCs */
    {0x03ff, 0x1013, ANY, &screen}, /* Cirrus, QEMU's */
    {0x03ff, 0x1234, ANY, &screen}, /* QEMU standard VGA, bochs */
    {0x03ff, 0x1b36, ANY, &screen}, /* QEMU QXL */
    {0x03ff, 0x1af4, ANY, &screen}, /* virtio-gpu */
    {0x03ff, 0x15ad, ANY, &screen}, /* VMware SVGA */
    {0x03ff, 0x80ee, ANY, &screen}, /* VirtualBox */
    {0x03ff, 0x1414, ANY, &screen}, /* Hyper-V */
    {0x03ff, 0x126f, ANY, &screen}, /* Silicon Motion */
    {0x03ff, 0x18ca, ANY, &screen}, /* XGI Volari in BMCs */
    {0x03ff, ANY, ANY, &gpu},
    /* Processing accelerators: GPUs without a screen, FPGAs, and else a chip for inference. */
    {0x1200, 0x1002, ANY, &gpu},     /* AMD Instinct */
    {0x1200, 0x10ee, ANY, &fpga},    /* Xilinx */
    {0x1200, 0x1172, ANY, &fpga},    /* Altera */
    {0x1200, 0x1bd4, ANY, &fpga},    /* Inspur F10A and others */
    {0x1200, 0x1d0f, 0xf000, &fpga}, /* Amazon F1 */
    {0x1200, 0x1d0f, 0xf010, &fpga},
    {0x1200, 0x8086, 0x09c4, &fpga}, /* Intel PAC Arria 10 and its VF */
    {0x1200, 0x8086, 0x09c5, &fpga},
    {0x1200, 0x8086, 0x0b2b, &fpga}, /* D5005 */
    {0x1200, 0x8086, 0x0b2c, &fpga},
    {0x1200, 0x8086, 0x0b30, &fpga}, /* N3000 */
    {0x1200, 0x8086, 0x0b31, &fpga},
    {0x1200, 0x8086, 0xaf00, &fpga}, /* OFS: N6000 and others */
    {0x1200, 0x8086, 0xaf01, &fpga},
    {0x1200, 0x8086, 0xbcbd, &fpga}, /* Xeon with FPGA */
    {0x1200, 0x8086, 0xbcc0, &fpga},
    {0x1200, 0x8086, 0xbcc1, &fpga},
    {0x1200, 0x8086, 0xbcce, &fpga}, /* N6000, C6100 */
    {0x1200, 0x8086, 0xbccf, &fpga},
    {0x12ff, ANY, ANY, &chip},
    /* Co-processors: QuickAssist by number, else what computes beside the CPU (Xeon Phi, NEC SX).
     */
    {0x0b40, 0x8086, 0x0435, &qat}, /* DH895xCC and its VF */
    {0x0b40, 0x8086, 0x0443, &qat},
    {0x0b40, 0x8086, 0x37c8, &qat}, /* C62x */
    {0x0b40, 0x8086, 0x37c9, &qat},
    {0x0b40, 0x8086, 0x19e2, &qat}, /* C3xxx */
    {0x0b40, 0x8086, 0x19e3, &qat},
    {0x0b40, 0x8086, 0x18a0, &qat}, /* C4xxx */
    {0x0b40, 0x8086, 0x18a1, &qat},
    {0x0b40, 0x8086, 0x18ee, &qat}, /* 200xx */
    {0x0b40, 0x8086, 0x18ef, &qat},
    {0x0b40, 0x8086, 0x6f54, &qat}, /* D15xx */
    {0x0b40, 0x8086, 0x6f55, &qat},
    {0x0b40, 0x8086, 0x4940, &qat}, /* 4xxx */
    {0x0b40, 0x8086, 0x4941, &qat},
    {0x0b40, 0x8086, 0x4942, &qat}, /* 401xx */
    {0x0b40, 0x8086, 0x4943, &qat},
    {0x0b40, 0x8086, 0x4944, &qat}, /* 402xx */
    {0x0b40, 0x8086, 0x4945, &qat},
    {0x0b40, 0x8086, 0x4946, &qat}, /* 420xx */
    {0x0b40, 0x8086, 0x4947, &qat},
    {0x0b40, 0x8086, 0x4948, &qat}, /* 6xxx */
    {0x0b40, 0x8086, 0x4949, &qat},
    {0x0b40, ANY, ANY, &chip},
};

/* As Cyborg spells them in traits, where it does. */
static const struct {
    uint16_t vendor;
    const char *word;
} vendors[] = {
    {0x10de, "NVIDIA"}, {0x1002, "AMD"},      {0x1022, "AMD"},       {0x8086, "INTEL"},
    {0x10ee, "XILINX"}, {0x1172, "ALTERA"},   {0x1bd4, "INSPUR"},    {0x19e5, "HUAWEI"},
    {0x1da3, "HABANA"}, {0x17cb, "QUALCOMM"}, {0xcabc, "CAMBRICON"}, {0x1e52, "TENSTORRENT"},
    {0x1d0f, "AMAZON"}, {0x1bcf, "NEC"},
};

static const struct {
    uint16_t class;
    const char *name;
} names[] = {
    {0x0300, "VGA compatible controller"},
    {0x0301, "XGA compatible controller"},
    {0x0302, "3D controller"},
    {0x0380, "Display controller"},
    {0x1200, "Processing accelerators"},
    {0x1201, "SNIA Smart Data Accelerator Interface"},
    {0x0b40, "Co-processor"},
};

#define COUNT(array) (sizeof(array) / sizeof((array)[0]))

const struct pci_kind *pci_kind_of(uint32_t class, uint16_t vendor, uint16_t device)
{
    const uint16_t code = (uint16_t)(class >> 8);

    for (size_t i = 0; i < COUNT(kinds); i++) {
        const bool base = (kinds[i].class & 0xff) == 0xff;
        if ((base ? kinds[i].class >> 8 == code >> 8 : kinds[i].class == code) &&
            (kinds[i].vendor == ANY || kinds[i].vendor == vendor) &&
            (kinds[i].device == ANY || kinds[i].device == device))
            return kinds[i].kind;
    }
    return NULL;
}

const char *pci_vendor_word(uint16_t vendor)
{
    for (size_t i = 0; i < COUNT(vendors); i++)
        if (vendors[i].vendor == vendor)
            return vendors[i].word;
    return NULL;
}

const char *pci_class_name(uint32_t class)
{
    for (size_t i = 0; i < COUNT(names); i++)
        if (names[i].class == class >> 8)
            return names[i].name;
    return class >> 16 == 0x03   ? "Display controller"
           : class >> 16 == 0x12 ? "Processing accelerators"
                                 : NULL;
}
