"""A umockdev testbed, to be run under umockdev-wrapper: prints its folder, then obeys lines of
standard input: "add ADDRESS", "remove ADDRESS" (a PCI function and its uevent); answers "done"."""

import ctypes
import os
import sys

lib = ctypes.CDLL("libumockdev.so.0")
lib.umockdev_testbed_new.restype = ctypes.c_void_p
lib.umockdev_testbed_get_root_dir.restype = ctypes.c_char_p
lib.umockdev_testbed_get_root_dir.argtypes = [ctypes.c_void_p]
lib.umockdev_testbed_add_devicev.restype = ctypes.c_char_p
lib.umockdev_testbed_add_devicev.argtypes = [ctypes.c_void_p] + [ctypes.c_char_p] * 3 + [
    ctypes.c_void_p] * 2
lib.umockdev_testbed_uevent.argtypes = [ctypes.c_void_p, ctypes.c_char_p, ctypes.c_char_p]
lib.umockdev_testbed_uevent.restype = None
lib.umockdev_testbed_remove_device.argtypes = [ctypes.c_void_p, ctypes.c_char_p]
lib.umockdev_testbed_remove_device.restype = None

ATTRIBUTES = {"vendor": "0x10de", "device": "0x20b5", "class": "0x030200", "revision": "0xa1",
              "subsystem_vendor": "0x10de", "subsystem_device": "0x1533", "numa_node": "0"}


def words(*items):
    return (ctypes.c_char_p * (len(items) + 1))(*[item.encode() for item in items], None)


def main():
    bed = lib.umockdev_testbed_new()
    root = lib.umockdev_testbed_get_root_dir(bed).decode()
    # The daemon's modules have another user, and make a socket in there.
    os.chmod(root, 0o777)
    paths = {}
    print(root, flush=True)
    for line in sys.stdin:
        action, address = line.split()
        if action == "add":
            paths[address] = lib.umockdev_testbed_add_devicev(
                bed, b"pci", address.encode(), None,
                words(*[word for pair in ATTRIBUTES.items() for word in pair]),
                words("PCI_SLOT_NAME", address))
            lib.umockdev_testbed_uevent(bed, paths[address], b"add")
        else:
            # The kernel removes the folder first, but a testbed finds the device there.
            lib.umockdev_testbed_uevent(bed, paths[address], b"remove")
            lib.umockdev_testbed_remove_device(bed, paths.pop(address))
        print("done", flush=True)


main()
