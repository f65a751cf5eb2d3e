"""A stand-in for the worker: speaks its frames, holds no model. What it does is in the prompt's words."""

import json
import os
import sys
import time


def say(**frame):
    sys.stdout.write(json.dumps(frame) + "\n")
    sys.stdout.flush()


def main():
    if "never-ready" in sys.argv:
        time.sleep(600)
    if "dead" in sys.argv:
        sys.exit(3)
    say(ready=True)
    for line in sys.stdin:
        frame = json.loads(line)
        number = frame["id"]
        if frame["op"] == "stop":
            say(id=number, text="too late")
            say(id=number, end={"prompt": 1, "output": 1, "cut": False})
        elif "PREFIX" in frame["prompt"]:
            say(id=number, text=str(frame["prefix"]))
            say(id=number, end={"prompt": 2, "output": 1, "cut": False})
        elif "DIE" in frame["prompt"]:
            os._exit(9)
        elif "HANG" in frame["prompt"]:
            say(id=number, text="one")
        elif "NOISE" in frame["prompt"]:
            sys.stdout.write("not a frame\n")
            sys.stdout.flush()
        elif "TOO LONG" in frame["prompt"]:
            say(id=number, error="request exceeds the available context size")
        elif "ENV" in frame["prompt"]:
            say(id=number, text=",".join(sorted(os.environ)))
            say(id=number, end={"prompt": 2, "output": 1, "cut": False})
        else:
            say(id=number, text="Hel")
            say(id=number, text="lo")
            say(id=number, end={"prompt": 7, "output": 2, "cut": frame["max"] < 5})


main()
