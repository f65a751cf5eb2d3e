"""Score a model on the requests: `python -m bench.small_model.run [--provider SPEC] [--only KIND] [--json FILE]`.

SPEC is what CARAPAX_MODEL takes: "embedded", "openai/gpt-5", "ollama/qwen3", "http://127.0.0.1:8080/v1#name".
Prints a row per request and a score per kind, for the tuned and for the held-out requests.
"""

from __future__ import annotations

import argparse
import asyncio
import json
import os
import platform
import re
import tempfile
import time
from collections import defaultdict
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from bench.small_model.door import Door
from bench.small_model.local_tools import MANIFESTS, LocalTools
from bench.small_model.requests import REQUESTS, End, Request
from carapax.adapters.providers.embedded.adapter import EmbeddedProvider
from carapax.adapters.providers.embedded.weights import FILE_NAME, find_models_dir
from carapax.agent.small import SmallModel
from carapax.ports.provider import Completion, Message, Prompt, Speaker

_STEPS = 12
_SOURCES = re.compile(
    r"\n\n— rests on: [^\n]*\Z"
)  # the gateway's own closing line: neither the model's words nor its language


async def _turn(
    model: SmallModel, tools: LocalTools, history: list[Message], log: list[dict[str, Any]]
) -> tuple[str, list[str]]:
    called: list[str] = []
    for _ in range(_STEPS):
        started = time.monotonic()
        end = None
        async for answer in model.stream(Prompt("", tuple(history), MANIFESTS)):
            end = answer if isinstance(answer, Completion) else end
        assert end is not None
        log.append(
            {"s": round(time.monotonic() - started, 2), "tokens": end.output_tokens, "prompt": end.prompt_tokens}
        )
        if not end.wishes:
            history.append(Message(Speaker.ASSISTANT, end.text))
            return end.text, called
        history.append(Message(Speaker.ASSISTANT, end.text, end.wishes))
        for wish in end.wishes:
            called.append(wish.tool)
            result = tools.perform(wish.tool, json.loads(wish.arguments_json))
            log[-1]["call"] = f"{wish.tool} {wish.arguments_json}"
            log[-1]["result"] = result[:300]
            history.append(Message(Speaker.TOOL, result, answers=wish.id, tool=wish.tool))
            if next(m for m in MANIFESTS if m.name == wish.tool).ends_turn:
                return result, called
    return "", called


async def _run_here(model: SmallModel, request: Request) -> dict[str, Any]:
    with tempfile.TemporaryDirectory(prefix="bench-") as folder:
        root = Path(folder)
        for name, text in request.files.items():
            (root / name).parent.mkdir(parents=True, exist_ok=True)
            (root / name).write_text(text)
        tools, history, log, called = LocalTools(root), [], [], []  # type: ignore[var-annotated]
        started, reply = time.monotonic(), ""
        for words in request.says:
            history.append(Message(Speaker.USER, words))
            tools.begin_turn(words)
            reply, made = await _turn(model, tools, history, log)
            called += made
        return _row(request, End(root, reply, tuple(called)), started, log)


def _run_there(door: Door, request: Request) -> dict[str, Any]:
    door.clear(request.files)
    started, session, reply, log, called = time.monotonic(), "", "", [], []  # type: ignore[var-annotated]
    judged: list[dict[str, str]] = []
    for words in request.says:
        before = time.monotonic()
        reply, session, events = door.say(words, session)
        for event in events:
            if event["event"] == "StepDone":
                called.append(event["tool"])
                log.append({"s": round(event["at"] - before, 2), "call": event["summary"], "result": event["detail"]})
                before = event["at"]
            elif event["event"] == "StepJudged" and event["answer"] != "allow":
                judged.append({key: event[key] for key in ("tool", "summary", "answer", "rule", "reason")})
                if event["answer"] == "deny":
                    log.append({"s": 0.0, "call": event["summary"], "result": f"refused: {event['reason']}"})
        log.append({"s": round(time.monotonic() - before, 2)})
    end = End(door.root, _SOURCES.sub("", reply), tuple(called))
    return {**_row(request, end, started, log), "judged": judged, "says": list(request.says)}


def _row(request: Request, end: End, started: float, log: list[dict[str, Any]]) -> dict[str, Any]:
    try:
        passed = request.check(end)
    except (OSError, UnicodeError):
        passed = False
    row = {"name": request.name, "kind": request.kind, "held": request.held, "passed": passed}
    return {**row, "s": round(time.monotonic() - started, 1), "reply": end.reply, "steps": log}


def _shares(rows: Sequence[dict[str, Any]]) -> dict[str, str]:
    kinds: dict[str, list[bool]] = defaultdict(list)
    for row in rows:
        kinds[row["kind"]].append(row["passed"])
        kinds["held-out" if row["held"] else "tuned"].append(row["passed"])
        kinds["all"].append(row["passed"])
    return {
        kind: f"{sum(passed)}/{len(passed)} ({100 * sum(passed) // len(passed)} %)" for kind, passed in kinds.items()
    }


async def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--provider", default="embedded", help="the model to score, as CARAPAX_MODEL names it")
    parser.add_argument("--only", help="a kind, or part of a request's name")
    parser.add_argument("--json", type=Path)
    parser.add_argument(
        "--here", action="store_true", help="without the gateway: the model and the tools in this process"
    )
    parser.add_argument("--threads", type=int, help="of the model (with --here)")
    parser.add_argument("--no-held", action="store_true", help="leave the held-out requests alone while tuning")
    parser.add_argument(
        "--quiet-held", action="store_true", help="score the held-out requests without showing their answers"
    )
    given = parser.parse_args()
    chosen = [r for r in REQUESTS if not given.only or given.only == r.kind or given.only in r.name]
    chosen = [r for r in chosen if not (given.no_held and r.held)]
    models = find_models_dir(os.environ)
    rows: list[dict[str, Any]] = []
    if given.here:
        inner = EmbeddedProvider(models / FILE_NAME, threads=given.threads)
        model = SmallModel(inner, warm=inner.warm)
        for request in chosen:
            rows.append(_tell(await _run_here(model, request), given.quiet_held))
        await model.close()
    else:
        with Door(models, {"CARAPAX_MODEL": given.provider}) as door:
            for request in chosen:
                rows.append(_tell(_run_there(door, request), given.quiet_held))
    _sum_up(rows, given.json)


def _tell(row: dict[str, Any], quiet_held: bool) -> dict[str, Any]:
    print(f"{'ok  ' if row['passed'] else 'FAIL'} {row['name']:18} {row['s']:6.1f} s", flush=True)
    if not (row["held"] and quiet_held):
        for judged in row.get("judged", ()):
            print(f"     {judged['answer']} by {judged['rule']}: {judged['summary']}", flush=True)
    if not row["passed"] and not (row["held"] and quiet_held):
        for step in row["steps"]:
            print(f"       {step.get('call', '')} -> {step.get('result', '')[:160]!r}", flush=True)
        print(f"       reply: {row['reply'][:300]!r}", flush=True)
    return row


def _sum_up(rows: list[dict[str, Any]], place: Path | None) -> None:
    steps = sorted(step["s"] for row in rows for step in row["steps"])
    latency = (
        {"steps": len(steps), "median_s": steps[len(steps) // 2], "p90_s": steps[len(steps) * 9 // 10]} if steps else {}
    )
    scores = _shares(rows)
    for kind, share in scores.items():
        print(f"{kind:12} {share}")
    print(latency)
    if place:
        machine = {"machine": platform.machine(), "cpus": os.cpu_count(), "load": os.getloadavg()[0]}
        place.write_text(
            json.dumps({"scores": scores, "latency": latency, **machine, "rows": rows}, indent=1, ensure_ascii=False)
        )


if __name__ == "__main__":
    asyncio.run(main())
