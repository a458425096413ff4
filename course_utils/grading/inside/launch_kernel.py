"""The command that Jupyter starts as a kernel: asks the fork server for one, and lives exactly as long as it does.

    python -S -E launch_kernel.py SERVER_SOCKET REPORTS CONNECTION_FILE

What the watch of the kernel says goes into REPORTS, where no kernel can write: this runs outside, with the rights of
the one who marks, and would follow a link that a kernel had laid into its own folder.

When this process is killed or its parent is gone, the fork server kills the kernel; when the kernel dies this process
ends, so that whoever watches it knows.
"""

import json
import os
import select
import socket
import sys


def main() -> int:
    """Ask, then wait for the end; the exit code is 0 where the kernel left of its own will."""
    place, reports, connection_file = sys.argv[1:]
    with open(connection_file, encoding="utf-8") as file:
        connection = json.load(file)
    folder = os.path.basename(os.path.dirname(connection_file))
    request = {"connection": connection, "folder": folder}
    server = socket.socket(socket.AF_UNIX)
    server.connect(place)
    server.sendall(json.dumps(request).encode() + b"\n")
    ended, parent = False, os.getppid()
    report = os.path.join(reports, folder, "report.txt")
    while os.getppid() == parent:  # an examiner that was killed cannot end its kernel any more
        if select.select([server], [], [], 0.5)[0]:
            piece = server.recv(4096)
            if not piece:
                break
            with open(report, "ab") as file:  # at once: Jupyter kills this process when the notebook is through
                file.write(piece)
            ended = ended or b"ended: " in piece
    return 1 if ended else 0


if __name__ == "__main__":
    sys.exit(main())
