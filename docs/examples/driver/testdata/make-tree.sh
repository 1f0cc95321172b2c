#!/bin/sh
# make-tree.sh DIR: a host with two accelerators: one with a sensor, one asleep; and one whose link
# leads nowhere that is a PCI function.
set -eu
rm -rf "$1"
device() { # PCI address, node, driver, device id, status
    at=$1/sys/devices/pci0000:00/$2
    mkdir -p "$at/accel/$3" "$at/power" "$at/hwmon/hwmon0" "$1/sys/bus/pci/drivers/$4" "$1/sys/class/accel"
    echo 0x8086 >"$at/vendor"
    echo "$5" >"$at/device"
    echo 0 >"$at/numa_node"
    echo "$6" >"$at/power/runtime_status"
    echo 41500 >"$at/hwmon/hwmon0/temp1_input"
    ln -s "../../../bus/pci/drivers/$4" "$at/driver"
    ln -s "../../../$2" "$at/accel/$3/device"
    ln -s "../../devices/pci0000:00/$2/accel/$3" "$1/sys/class/accel/$3"
}
device "$1" 0000:00:0b.0 accel0 intel_vpu 0x7d1d active
device "$1" 0000:00:0c.0 accel1 qaic 0xa100 suspended
mkdir -p "$1/sys/devices/platform/odd/accel/accel2"
ln -s ../../../odd "$1/sys/devices/platform/odd/accel/accel2/device"
ln -s ../../devices/platform/odd/accel/accel2 "$1/sys/class/accel/accel2"
