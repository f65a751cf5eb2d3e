"""The command line and the terminal chat.

Layer: surfaces. Talks to a running gateway over HTTP; what needs the machine itself goes through `local.Local`,
which `app` implements. Absent: the daemon, pydantic, asyncio and dataclasses on the common path, because a
command must answer in under 150 ms (importing `dataclasses` alone costs 35 ms, `cyclopts` 160 ms).
Law: only `terminal.Pen` writes, and it neutralises every character it is given.
"""
