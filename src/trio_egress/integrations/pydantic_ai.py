"""A tool of Pydantic AI's agents: a shell whose commands run in a sandbox, each in one of its own."""

from __future__ import annotations

from typing import Any

from pydantic_ai.toolsets import FunctionToolset

from trio_egress.integrations.commands import Commands, find_code, tell_end


class EgressToolset(FunctionToolset[Any]):
    """`Agent(model, toolsets=[EgressToolset(policy="egress.toml", directory="/srv/work")])`: the tool `run_command`.

    Takes what `Commands` takes. What a command writes in `directory` is there for the next; it works there.
    """

    def __init__(self, **terms: Any) -> None:
        self.commands = Commands(**terms)
        super().__init__([self.run_command])

    def run_command(self, command: str) -> str:
        """Run a command in a shell, in a sandbox with a policy of its own for the network.

        Args:
            command: What `sh -c` takes.
        """
        done = self.commands.run(["sh", "-c", command])
        code = find_code(done)
        return tell_end(done) + (f"\n[exit code {code}]" if code else "")
