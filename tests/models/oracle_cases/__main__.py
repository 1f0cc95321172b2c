# SPDX-License-Identifier: Apache-2.0
import sys

from oracle_cases import write

print('%d exact, %d near written' % write(sys.argv[1]))
