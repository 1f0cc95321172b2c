#!/bin/sh
# offline.sh COMMAND...: runs a command where there is no network but loopback. Needs root.
#   sudo tools/offline.sh make check OFFLINE=1
set -eu
[ $# -gt 0 ] || { echo "usage: tools/offline.sh COMMAND..." >&2; exit 2; }
# A new network name space has its loopback down (iproute2 need not be there to raise it) and the
# kernel's default for the length of unix sockets' queues, not this machine's.
queue=/proc/sys/net/unix/max_dgram_qlen
exec unshare --net python3 -c '
import fcntl, os, socket, struct, sys
queue, length, *command = sys.argv[1:]
with socket.socket() as s:
    SIOCSIFFLAGS, IFF_UP = 0x8914, 1
    fcntl.ioctl(s, SIOCSIFFLAGS, struct.pack("16sh14x", b"lo", IFF_UP))
with open(queue, "w") as out:
    out.write(length)
os.execvp(command[0], command)' "$queue" "$(cat "$queue")" "$@"
