"""The channel to a kernel, listened to more carefully than nbval does.

nbval takes its messages through ``RunningKernel.get_message``; :class:`KernelChannel` stands there instead. It gives
nbval the same messages, and sees what nbval does not look at: whether the kernel still lives, how much it says, and
how each request was answered.
"""

from __future__ import annotations

import time
from collections import deque
from queue import Empty
from typing import Any

import zmq


class KernelDied(Exception):
    """The kernel's process ended while a cell was running."""


class TooMuchOutput(Exception):
    """A cell printed more than it may."""


class KernelChannel:
    """Serve nbval's ``get_message``; raise where it would wait in vain or collect without end.

    Attributes:
        reply: the status of the last answer to a request to execute ("ok", "error", "aborted", or "" while there is
            none).
        said: bytes of output since :meth:`next_cell`.
    """

    def __init__(self, kernel: Any, limit: int) -> None:
        self._kernel, self._client, self._limit = kernel, kernel.kc, limit
        self._iopub: deque[dict[str, Any]] = deque()
        self._poller = zmq.Poller()
        for channel in (self._client.iopub_channel, self._client.shell_channel):
            self._poller.register(channel.socket, zmq.POLLIN)
        self.reply, self.said = "", 0

    def next_cell(self) -> None:
        """Forget what belongs to the last cell."""
        self.reply, self.said = "", 0
        self._iopub.clear()

    def get_message(self, stream: str, timeout: float | None = None) -> dict[str, Any]:
        """The next message of "iopub" or "shell"; Empty after ``timeout`` seconds.

        Raises:
            KernelDied: no process is there any more to send one.
            TooMuchOutput: the cell's output is beyond the limit.
        """
        deadline = time.monotonic() + (timeout if timeout is not None else 3600.0)
        while True:
            self._collect()
            if stream == "iopub" and self._iopub:
                return self._iopub.popleft()
            if stream == "shell":
                try:
                    message: dict[str, Any] = self._client.get_shell_msg(timeout=0)
                except Empty:
                    pass
                else:
                    if message.get("msg_type") == "execute_reply":
                        self.reply = str(message["content"].get("status"))
                    return message
            left = deadline - time.monotonic()
            if left <= 0:
                raise Empty
            if not self._poller.poll(int(1000 * min(left, 0.25)) + 1) and not self._kernel.is_alive():
                self._collect()
                if stream == "iopub" and self._iopub:
                    continue
                raise KernelDied("the kernel died")

    def _collect(self) -> None:
        """Take what was published, also while the reply is waited for: a pipe that nobody empties loses messages."""
        while True:
            try:
                message = self._client.get_iopub_msg(timeout=0)
            except Empty:
                return
            self.said += _size(message.get("content"))
            if self.said > self._limit:
                raise TooMuchOutput(f"a cell printed more than {self._limit >> 20} MiB")
            self._iopub.append(message)


def _size(content: Any) -> int:
    if isinstance(content, str):
        return len(content)
    if isinstance(content, dict):
        return 16 + sum(_size(value) for value in content.values())
    if isinstance(content, list):
        return 16 + sum(_size(value) for value in content)
    return 8
