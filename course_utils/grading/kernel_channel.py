"""The channel to a kernel, listened to more carefully than nbval does.

nbval takes its messages through ``RunningKernel.get_message``; :class:`KernelChannel` stands there instead. It gives
nbval the same messages, and sees what nbval does not look at: whether the kernel still lives, how much it says, and
how each request was answered.
"""

from __future__ import annotations

import time
from collections import deque
from collections.abc import Callable
from queue import Empty
from typing import Any

import zmq

# What Python and pyzmq need to hold a message, or one buffer of it, however little is in it: nothing that can be sent
# without end may count as nothing. With its headers the shortest comes to 1 KiB, and 17 000 of them to the limit.
# ipykernel collects what is printed and sends it five times a second: only what is displayed, or flushed by itself, is
# one message each.
_HOLDS = 256
_PARTS = ("header", "parent_header", "metadata", "content")


class KernelDied(Exception):
    """The kernel's process ended while a cell was running."""


class TooMuchOutput(Exception):
    """A cell printed more than it may."""


class KernelChannel:
    """Serve nbval's ``get_message``; raise where it would wait in vain or collect without end.

    Attributes:
        reply: the status of the last answer to a request to execute ("ok", "error", "aborted", or "" while there is
            none).
        said: bytes of all that arrived since :meth:`next_cell`, whichever part of a message it was in.
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
                message = self._receive(self._client.get_shell_msg)
                if message is not None:
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
        while (message := self._receive(self._client.get_iopub_msg)) is not None:
            self._iopub.append(message)

    def _receive(self, receive: Callable[..., dict[str, Any]]) -> dict[str, Any] | None:
        """The next message of a channel, counted; None if there is none.

        Replies are counted like output: a kernel can send as many of them as it likes, as large as it likes.
        """
        try:
            message = receive(timeout=0)
            self.said += _size(message)
        except Empty:
            return None
        except MemoryError:  # more than this process may take: it has a limit of its own (examiner.py)
            raise TooMuchOutput("a cell sent more than there is memory for") from None
        if self.said > self._limit:
            raise TooMuchOutput(f"a cell printed more than {self._limit >> 20} MiB")
        return message


def _size(message: dict[str, Any]) -> int:
    """About as many bytes as a message holds, in all its parts."""
    size = _HOLDS + sum(_HOLDS + buffer.nbytes for buffer in message.get("buffers") or ())
    left: list[Any] = [message.get(part) for part in _PARTS]
    while left:  # a loop, since a message may be nested deeper than Python can call
        one = left.pop()
        if isinstance(one, str):
            size += 8 + len(one)
        elif isinstance(one, (dict, list)):
            size += 16
            left.extend(one)  # of a dict the keys: they are the kernel's to choose as well
            if isinstance(one, dict):
                left.extend(one.values())
        else:
            size += 8
    return size
