"""`python -m device_agents.emulator FOLDER`: a folder that looks like an installed CANN, with `set_env.sh`."""

import sys

from device_agents.emulator.install import install

if len(sys.argv) != 2 or sys.argv[1].startswith("-"):
    sys.stderr.write("usage: python -m device_agents.emulator FOLDER\n")
    sys.exit(2)
print(install(sys.argv[1]))
