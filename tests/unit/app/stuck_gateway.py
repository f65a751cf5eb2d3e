"""A process whose loop is stuck for good: `python -m tests.unit.app.stuck_gateway RUN_FOLDER`.

It opens the stop door like a gateway, writes "ready" and blocks its loop. What `halt` is asked is written to RUN/halted.
"""

from __future__ import annotations

import asyncio
import sys
import time
from pathlib import Path

from carapax.app import stop_door

STUCK_S = 60.0


async def main(run: Path, stuck: bool) -> None:
    def halt() -> int:
        (run / "halted").write_text("all")
        return 3

    async def settle() -> tuple[int, bool]:
        return 2, True

    if not stuck:
        stop_door.LOOP_MS = 10_000  # a busy machine is not the subject
    door = stop_door.StopDoor(run, halt, settle)
    door.open()
    print("ready", flush=True)
    if stuck:
        time.sleep(STUCK_S)  # noqa: ASYNC251 - this is the defect that is played
    else:
        await asyncio.to_thread(sys.stdin.read)
    door.close()


if __name__ == "__main__":
    asyncio.run(main(Path(sys.argv[1]), sys.argv[2] == "stuck"))
