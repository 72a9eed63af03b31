"""One worker process and the conversation with it, watched for time, memory and its end.

POSIX only: the worker leads a session of its own, so that a Ctrl-C meant for gradaudit does not reach it and what
it starts dies with it. If gradaudit itself is killed the worker sees the end of its input and exits.
"""

from __future__ import annotations

import contextlib
import json
import os
import selectors
import signal
import struct
import subprocess
import threading
import time
from pathlib import Path

from gradaudit.errors import WorkerError

OUTPUT_KEPT = 1 << 16
"""Bytes of a worker's output that are kept: its end, where errors stand."""

LONGEST_RESPONSE = 1 << 24
"""Bytes of the longest response that is believed to be one: arrays do not travel in it."""

GLANCE = 0.05
"""Seconds between two looks at the worker's memory."""

STARTUP_MEMORY = 2 << 30
"""Bytes that are granted beyond the cap while a framework is imported."""

MEMORY_TEXTS = ("bad_alloc", "MemoryError", "Cannot allocate memory", "can't allocate memory")


class BrokenWorkerError(WorkerError):
    """The worker did not answer. `kind` is one of "crashed", "timed_out", "out_of_memory"; it is dead by now."""

    def __init__(self, kind: str, message: str, output: str) -> None:
        super().__init__(message)
        self.kind = kind
        self.output = output


class Channel:
    """A running worker. Requests are made one at a time; `kill` may be called from any thread."""

    def __init__(self, command: list[str], environment: dict[str, str], memory_cap: int) -> None:
        self._memory_cap = memory_cap
        self._baseline = STARTUP_MEMORY
        self._output = bytearray()
        self._requests = 0
        self._killing = threading.Lock()
        self._killed = False
        # Protocol on descriptors 0 and 1; whatever the worker prints comes by descriptor 2.
        self._process = subprocess.Popen(  # noqa: S603 - the command is ours, or the user's own interpreter
            command,
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            env=environment,
            start_new_session=True,
            bufsize=0,
        )
        assert self._process.stdin is not None
        assert self._process.stdout is not None
        assert self._process.stderr is not None
        self._to = self._process.stdin.fileno()
        self._from = self._process.stdout.fileno()
        self._printed = self._process.stderr.fileno()
        for descriptor in (self._to, self._from, self._printed):
            os.set_blocking(descriptor, False)

    def post(self, request: dict[str, object]) -> int:
        """Send a short request without waiting for anything; return the number to `receive` its response by."""
        number, data = self._framed(request)
        with contextlib.suppress(OSError):  # a worker that has died already is noticed by `receive`
            os.write(self._to, data)
        return number

    def exchange(self, request: dict[str, object], timeout: float) -> tuple[dict[str, object], str]:
        """Send a request; return its response and what the worker printed meanwhile.

        Raises BrokenWorkerError, and the worker is dead, where there is no response within `timeout` seconds, no
        proper one, or none at all.
        """
        self._drain()
        self._output.clear()
        number, data = self._framed(request)
        response = self.receive(number, timeout, data)
        return response, self.output()

    def receive(self, number: int, timeout: float, unsent: bytes = b"") -> dict[str, object]:
        """Wait for the response to request `number`, after sending what is `unsent`."""
        try:
            data = self._converse(unsent, time.monotonic() + timeout, timeout)
            return self._understood(data, number)
        except BaseException:
            self.kill()  # also on Ctrl-C: a conversation that was broken off cannot be taken up again
            raise

    def output(self) -> str:
        """The end of what the worker has printed since the last request."""
        return self._output.decode("utf-8", "replace")

    def note_memory(self) -> None:
        """Take what the worker uses now as what its imports need."""
        self._baseline = _resident_bytes(self._process.pid) or 0

    @property
    def dead(self) -> bool:
        """Whether the worker has ended or was ended."""
        return self._killed or self._process.poll() is not None

    def kill(self) -> None:
        """End the worker and everything it has started; harmless when repeated."""
        with self._killing:
            if not self._killed:
                self._killed = True
                # Also after its own end: what it has started is still in its session.
                with contextlib.suppress(ProcessLookupError, PermissionError):
                    os.killpg(self._process.pid, signal.SIGKILL)
                self._process.wait()

    def close(self) -> None:
        """Kill, and give back the descriptors; only from the thread that makes the requests."""
        self.kill()
        for stream in (self._process.stdin, self._process.stdout, self._process.stderr):
            if stream is not None:
                stream.close()

    def _framed(self, request: dict[str, object]) -> tuple[int, bytes]:
        self._requests += 1
        data = json.dumps({**request, "id": self._requests}).encode("utf-8")
        return self._requests, struct.pack(">I", len(data)) + data

    def _converse(self, unsent: bytes, deadline: float, timeout: float) -> bytes:
        """Send, drain and watch until one whole response is there; return it."""
        received = bytearray()
        with selectors.DefaultSelector() as selector:
            selector.register(self._from, selectors.EVENT_READ)
            selector.register(self._printed, selectors.EVENT_READ)
            if unsent:
                selector.register(self._to, selectors.EVENT_WRITE)
            while True:
                left = deadline - time.monotonic()
                if left <= 0:
                    self.kill()
                    raise BrokenWorkerError("timed_out", f"no answer within {timeout:g} s", self._last_words())
                events = selector.select(min(left, GLANCE))
                if not events and self._process.poll() is not None:
                    raise self._death()  # dead, though a child of its own holds the pipes open
                for key, _ in events:
                    if key.fd == self._printed:
                        if not self._drain():
                            selector.unregister(self._printed)
                    elif key.fd == self._to:
                        unsent = self._send(unsent)
                        if not unsent:
                            selector.unregister(self._to)
                    elif self._receive_into(received):
                        self._drain()
                        return bytes(received[4:])
                self._check_memory()

    def _send(self, data: bytes) -> bytes:
        """Send what the pipe takes; return the rest."""
        try:
            return data[os.write(self._to, data) :]
        except BlockingIOError:
            return data
        except OSError:
            return b""  # the worker is gone, which its end of the other pipe says better

    def _receive_into(self, received: bytearray) -> bool:
        """Read what is there; true once the response is complete."""
        try:
            part = os.read(self._from, 1 << 16)
        except BlockingIOError:
            return False
        if not part:
            raise self._death()
        received += part
        if len(received) < 4:
            return False
        (length,) = struct.unpack(">I", received[:4])
        if length > LONGEST_RESPONSE or len(received) > length + 4:
            raise self._nonsense(bytes(received))
        return len(received) == length + 4

    def _understood(self, data: bytes, number: int) -> dict[str, object]:
        try:
            response = json.loads(data.decode("utf-8"))
        except ValueError:
            raise self._nonsense(data) from None
        if (
            not isinstance(response, dict)
            or response.get("id") != number
            or not isinstance(response.get("status"), str)
        ):
            raise self._nonsense(data)
        return response

    def _nonsense(self, data: bytes) -> BrokenWorkerError:
        message = f"the worker broke its protocol: a response was expected, {data[:60]!r} came"
        self.kill()
        return BrokenWorkerError("crashed", message, self._last_words())

    def _death(self) -> BrokenWorkerError:
        """The worker closed its end: say how it died."""
        try:
            status = self._process.wait(timeout=2.0)
        except subprocess.TimeoutExpired:
            self.kill()
            return BrokenWorkerError("crashed", "the worker closed its protocol and went on", self._last_words())
        self.kill()
        output = self._last_words()
        if any(text in output for text in MEMORY_TEXTS):
            return BrokenWorkerError("out_of_memory", f"the worker {_ending(status)}: memory ran out", output)
        return BrokenWorkerError("crashed", f"the worker {_ending(status)}", output)

    def _check_memory(self) -> None:
        used = _resident_bytes(self._process.pid)
        if used is not None and used - self._baseline > self._memory_cap:
            self.kill()
            message = f"the worker held {used:,} bytes, {self._memory_cap:,} beyond its imports are allowed"
            raise BrokenWorkerError("out_of_memory", message, self._last_words())

    def _last_words(self) -> str:
        self._drain()
        return self.output()

    def _drain(self) -> bool:
        """Take what the worker has printed; false when nothing more can come."""
        for _ in range(4):  # more than a pipe holds; one that is never empty must not keep us here
            try:
                part = os.read(self._printed, 1 << 16)
            except BlockingIOError:
                return True
            if not part:
                return False
            self._output += part
            del self._output[:-OUTPUT_KEPT]
        return True


def _ending(status: int) -> str:
    """How a process ended, in words."""
    if status >= 0:
        return f"exited with status {status}"
    try:
        name = signal.Signals(-status).name
    except ValueError:
        name = f"signal {-status}"
    hint = " (not by gradaudit; the system does that when memory runs out)" if -status == signal.SIGKILL else ""
    return f"was killed by {name}{hint}"


def _resident_bytes(process: int) -> int | None:
    """Resident memory of a process, where the system has /proc."""
    try:
        statistics = Path(f"/proc/{process}/statm").read_text("ascii")
        return int(statistics.split()[1]) * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, IndexError):
        return None
