"""An executor of smolagents whose Python lives in a sandbox, one for as long as the agent is there."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from smolagents.local_python_executor import CodeOutput
from smolagents.monitoring import AgentLogger, LogLevel
from smolagents.remote_executors import RemotePythonExecutor
from smolagents.utils import AgentError

from trio_egress.integrations.commands import tell_denied
from trio_egress.integrations.worker import PythonWorker
from trio_egress.library.running import FilePath


class EgressExecutor(RemotePythonExecutor):
    """`CodeAgent(executor=EgressExecutor(policy="egress.toml", directory="/srv/work"), …)`.

    Takes what `PythonWorker` takes. Tools are sent into it as they are to other remote executors; of packages it has
    those of this Python, and installs none. `packet` is closed and signed by `cleanup()`.
    """

    def __init__(
        self,
        *,
        policy: FilePath,
        directory: FilePath,
        timeout: float = 120,
        options: Mapping[str, str] | None = None,
    ) -> None:
        super().__init__([], AgentLogger(level=LogLevel.OFF))
        self.worker = PythonWorker(policy, directory, timeout, options)

    @property
    def packet(self) -> Path:
        return self.worker.packet

    def run_code_raise_errors(self, code: str) -> CodeOutput:
        """Raises AgentError for what the code raised, and SandboxError where the sandbox is not there or no more."""
        told = self.worker.ask(code)
        denied = tell_denied(self.worker.find_denied())
        logs = "\n".join(filter(None, (str(told.get("logs", "")).rstrip("\n"), denied)))
        if "error" in told:
            raise AgentError("\n".join(filter(None, (str(told["error"]).rstrip("\n"), logs))), self.logger)
        if "final" in told:
            answer = self._deserialize_final_answer(str(told["final"]))
            return CodeOutput(output=answer, logs=logs, is_final_answer=True)
        return CodeOutput(output=told.get("output"), logs=logs, is_final_answer=False)

    def install_packages(self, additional_imports: list[str]) -> list[str]:
        return additional_imports

    def cleanup(self) -> None:
        self.worker.close()
