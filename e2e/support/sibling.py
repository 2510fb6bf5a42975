"""More sidecars on the control plane of a stack of Parts, each a process with a state of its own."""

import os
import re

from support.parts import Parts
from support.ports import free_port


class Sibling(Parts):
    """Has the stack's configuration, and ports of its own. The stack must outlive it."""

    def __init__(self, stack, name):
        # pylint: disable=super-init-not-called
        self.dir, self.owns_dir = os.path.join(stack.dir, name), False
        self.parts, self.limits, self.process = {}, (), None
        self.port, self.database = free_port(), stack.database
        os.mkdir(self.dir, 0o700)
        text = stack.read("sidecar.yaml")
        for key, value in (("state: ", self.path("state")), ("join_token_file: ", self.path("join.token")),
                           ("health: {listen: ", f"127.0.0.1:{free_port()}"),
                           ("    listen: ", f"127.0.0.1:{self.port}")):
            text, count = re.subn(f'{key}"[^"]*"', f'{key}"{value}"', text)
            assert count == 1, key
        self.write("sidecar.yaml", text)
        self.write("join.token", stack.chaperone("join-token", "create").stdout)
        self.start_sidecar()
