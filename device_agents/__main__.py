"""`python -m device_agents`, and the entry of the zipapp that boards get."""

from device_agents.agent import main

main()
