"""The file tools as they run inside the sandbox: one call, arguments in, plain text out.

Runs as `python3 -I -S -c THIS TOOL UTC_OFFSET_S` with the canonical arguments on stdin; exit 0 done, 4 failed;
any other exit is the interpreter's own and its words are not ours.
Standard library only, and as little of it as possible: every import is paid on every call. Also imported by unit tests.
Absent: any authority. The sandbox is the wall; the checks on paths are there to answer clearly.
Laws: output and work are bounded; a name or a line from a file cannot start a line of ours.
"""

import os
import sys
import time

LIST_ENTRIES = 200
READ_LINES = 200
READ_CHARS = 12_000
LINE_CHARS = 2_000
COUNT_BYTES = 8 << 20  # of a file whose lines are counted
EDIT_BYTES = 8 << 20
SEARCH_FILES = 5_000
SEARCH_FILE_BYTES = 2 << 20
SEARCH_HITS = 100
HIT_CHARS = 200
NAMED = 5  # names in a sentence
INVENTORY_FILES = 2_000
INVENTORY_BYTES = 300_000
INVENTORY = "\0"  # what stands between the words and the inventory; no text of ours holds it
KINDS = (
    (b"\x89PNG", "PNG image"),
    (b"\xff\xd8\xff", "JPEG image"),
    (b"GIF8", "GIF image"),
    (b"%PDF", "PDF document"),
    (b"PK\x03\x04", "ZIP archive or office document"),
    (b"\x1f\x8b", "gzip archive"),
    (b"\x7fELF", "program"),
    (b"SQLite format 3", "SQLite database"),
    (b"\xff\xfe", "UTF-16 text"),
    (b"\xfe\xff", "UTF-16 text"),
)


class Failed(Exception):
    """What is true now, in words for the model and the person."""


# words


def shown(name: str) -> str:
    """A name on one line: control characters and bytes that are not UTF-8 as escapes."""
    if name.isprintable():
        return name
    return "".join(c if c.isprintable() else _escape(c) for c in name)


def _escape(char: str) -> str:
    code = ord(char)
    return f"\\x{code - 0xDC00:02x}" if 0xDC80 <= code <= 0xDCFF else char.encode("unicode_escape").decode()


def count(number: int, word: str) -> str:
    plural = word[:-1] + "ies" if word.endswith("y") else word + ("es" if word.endswith("ch") else "s")
    return f"{number:,} {word if number == 1 else plural}"


def lines_in(content: bytes) -> int:
    return content.count(b"\n") + (0 if content.endswith(b"\n") or not content else 1)


def measure(content: bytes) -> str:
    return f"{count(len(content), 'byte')}, {count(lines_in(content), 'line')}"


def named(names: list[str]) -> str:
    more = f" and {len(names) - NAMED:,} more" if len(names) > NAMED else ""
    return ", ".join(shown(name) for name in names[:NAMED]) + more


def bounded(rows: list[str]) -> list[str]:
    """The first rows that fit into an answer."""
    room = READ_CHARS
    for place, row in enumerate(rows):
        room -= len(row) + 1
        if room < 0:
            return rows[: max(place, 1)]
    return rows


# places


def inside(path: str, follow: bool = True) -> str:
    """The relative path a call means. Fails for what is outside, also through a link."""
    bare = path if os.path.lexists(path) else path.strip()  # a name that really has spaces around it is meant as it is
    if bare == "/workspace" or bare.startswith("/workspace/"):
        bare = bare[len("/workspace") :].lstrip("/")
    elif bare.startswith("/"):
        raise Failed(f"That path is outside the workspace. Use a path inside it, like notes.txt, not {shown(bare)}.")
    parts = [part for part in bare.split("/") if part not in ("", ".")]
    if ".." in parts:
        raise Failed("That path is outside the workspace. Use a path inside it, without '..'.")
    if "\0" in bare:
        raise Failed("A file name cannot hold a NUL character.")
    clean = "/".join(parts) or "."
    if not os.path.lexists(clean) and "\\" in clean:
        clean = _unescaped(clean)
    here = os.path.realpath(".")
    real = os.path.realpath(clean) if follow else os.path.realpath(os.path.dirname(clean) or ".")
    if real != here and not real.startswith(here + "/"):
        raise Failed(f"That path is outside the workspace. {shown(clean)} is a link that leads out of it.")
    return clean


def _unescaped(clean: str) -> str:
    """A name as `shown` writes it, when such a file is there."""
    try:
        raw = clean.encode("latin-1", "backslashreplace").decode("unicode_escape").encode("latin-1")
        name = os.fsdecode(raw)
    except UnicodeError:
        return clean
    odd = ".." in name.split("/") or name.startswith("/") or "\0" in name
    return name if not odd and os.path.lexists(name) else clean


def a_file(path: str) -> str:
    """The path of an existing file that is not a folder."""
    clean = inside(path)
    if os.path.isdir(clean):
        raise Failed(f"{shown(clean)} is a folder, not a file.")
    if not os.path.isfile(clean):
        raise Failed(missing(clean))
    return clean


def new_file(path: str) -> str:
    clean = inside(path)
    if clean == "." or path.rstrip().endswith("/"):
        raise Failed("Give a file name, like notes.txt.")
    if os.path.isdir(clean):
        raise Failed(f"{shown(clean)} is a folder. Give a file name inside it, like {shown(clean)}/notes.txt.")
    return clean


def missing(clean: str) -> str:
    names = similar(clean)
    hint = f" Similar names: {named(names)}." if names else " list_files shows what is there."
    return f"There is no file {shown(clean)} in the workspace.{hint}"


def similar(clean: str) -> list[str]:
    import difflib

    folder, base = os.path.split(clean.lower())
    names = sorted(walk(".", 2_000), key=lambda name: os.path.dirname(name).lower() != folder)
    same = [name for name in names if os.path.basename(name).lower() == base]
    short: dict[str, str] = {}
    for name in names:
        short.setdefault(os.path.basename(name).lower(), name)
    close = difflib.get_close_matches(base, short, 3, 0.6)
    return list(dict.fromkeys(same + [short[name] for name in close]))[:NAMED]


def walk(top: str, limit: int) -> list[str]:
    """Files below a folder in order, without .git, never through a link to a folder."""
    found = []
    for folder, folders, files in os.walk(top):
        folders[:] = sorted(name for name in folders if name != ".git")
        for name in sorted(files):
            found.append(os.path.normpath(os.path.join(folder, name)))
            if len(found) >= limit:
                return found
    return found


# contents


def binary_kind(head: bytes) -> str:
    """What a binary file seems to be; "" for text."""
    for magic, kind in KINDS:
        if head.startswith(magic):
            return kind
    return "unknown type" if b"\0" in head else ""


def load(clean: str, limit: int = EDIT_BYTES) -> bytes:
    with open(clean, "rb") as file:
        content = file.read(limit + 1)
    if len(content) > limit:
        raise Failed(f"{shown(clean)} is larger than {limit >> 20} MiB; use run_command for it.")
    return content


def store(clean: str, content: bytes) -> None:
    """Write beside and rename, so that a stop in the middle leaves the old file."""
    place = os.path.realpath(clean)
    beside = os.path.join(os.path.dirname(place), f".{os.urandom(8).hex()}.part")
    try:
        os.makedirs(os.path.dirname(place), exist_ok=True)
        mode = os.stat(place).st_mode & 0o777 if os.path.exists(place) else None
        with open(beside, "xb") as file:
            file.write(content)
        if mode is not None:
            os.chmod(beside, mode)
        os.replace(beside, place)
    except OSError as error:
        if os.path.exists(beside):
            os.unlink(beside)
        why = "a part of its path is a file, not a folder" if error.errno in (17, 20) else error.strerror
        raise Failed(f"{shown(clean)[:200]} cannot be written: {why}. The file is as it was.") from None


# tools


def list_files(path: str = ".") -> str:
    clean = inside(path)
    if not os.path.isdir(clean):
        if not os.path.lexists(clean):
            raise Failed(missing(clean).replace("no file", "no file or folder"))
        return list_line(clean, shown(clean), [COUNT_BYTES])
    names = sorted(os.listdir(clean), key=lambda name: (not os.path.isdir(os.path.join(clean, name)), name))
    what = "The workspace" if clean == "." else f"The folder {shown(clean)}"
    if not names:
        return f"{what} is empty."
    folders = sum(os.path.isdir(os.path.join(clean, name)) for name in names)
    parts = [count(len(names) - folders, "file")] * (len(names) > folders) + [count(folders, "folder")] * bool(folders)
    budget = [COUNT_BYTES]
    rows = bounded([list_line(os.path.join(clean, name), shown(name), budget) for name in names[:LIST_ENTRIES]])
    if len(names) > len(rows):
        rows.append(f"[… {len(names) - len(rows):,} more]")
    return f"{what} has {' and '.join(parts)}:\n" + "\n".join(rows)


def list_line(path: str, name: str, budget: list[int]) -> str:
    look = os.lstat(path)
    date = time.strftime("%Y-%m-%d %H:%M", time.gmtime(look.st_mtime + OFFSET_S))
    if os.path.islink(path):
        return f"{name} -> {shown(os.readlink(path))}  link  {date}"
    if os.path.isdir(path):
        try:
            return f"{name}/  folder, {count(len(os.listdir(path)), 'entry')}  {date}"
        except OSError:
            return f"{name}/  folder, cannot be opened  {date}"
    size = count(look.st_size, "byte")
    return f"{name}  {size}{list_count(path, look, budget)}  {date}"


def list_count(path: str, look: os.stat_result, budget: list[int]) -> str:
    """Lines of a text file, while the budget of bytes lasts."""
    if look.st_mode & 0o170000 != 0o100000 or look.st_size > budget[0]:
        return ""
    budget[0] -= look.st_size
    try:
        with open(path, "rb") as file:
            content = file.read(look.st_size)
    except OSError:
        return ", cannot be read"
    return ", binary" if binary_kind(content[:8192]) else f", {count(lines_in(content), 'line')}"


def read_file(path: str, offset: int = 1, limit: int = READ_LINES) -> str:
    clean = inside(path)
    if os.path.isdir(clean):
        return list_files(path)
    clean = a_file(path)
    size = os.path.getsize(clean)
    if size == 0:
        return f"{shown(clean)} is empty (0 bytes)."
    with open(clean, "rb") as file:
        head = file.read(8192)
        kind = binary_kind(head)
        if kind:
            return f"{shown(clean)} is a binary file ({kind}), {count(size, 'byte')}. Its contents are not shown."
        file.seek(0)
        chosen, total = read_lines(file, max(1, offset), max(1, limit))
    if not chosen:
        raise Failed(f"{shown(clean)} has {count(total, 'line')}; offset={offset} is past its end.")
    first = max(1, offset)
    last = first + len(chosen) - 1
    known = f"{count(total, 'line')}, " if size <= COUNT_BYTES else ""
    part = "" if first == 1 and last == total else f" (lines {first} to {last})"
    rest = f"\n[… {total - last:,} more {'line' if total - last == 1 else 'lines'}; read with offset={last + 1}]"
    rest = rest if size <= COUNT_BYTES else f"\n[… more lines; read with offset={last + 1}]"
    return f"{shown(clean)}, {known}{count(size, 'byte')}{part}:\n" + "\n".join(chosen) + (rest if last < total else "")


def read_lines(file, first: int, limit: int) -> tuple[list[str], int]:  # type: ignore[no-untyped-def]
    """The chosen lines within the character ceiling, and how many lines there are (counted to a ceiling of bytes)."""
    chosen: list[str] = []
    room, number = READ_CHARS, 0
    while line := file.readline(COUNT_BYTES):
        number += 1
        if number < first:
            continue
        text = line.decode("utf-8", "replace").rstrip("\r\n")
        if len(text) > LINE_CHARS:
            text = f"{text[:LINE_CHARS]} [line cut, {len(text) - LINE_CHARS:,} more characters]"
        if len(chosen) >= limit or (chosen and len(text) >= room):
            return chosen, number + count_rest(file)
        chosen.append("".join(c if c.isprintable() or c == "\t" else _escape(c) for c in text))
        room -= len(text) + 1
    return chosen, number


def count_rest(file) -> int:  # type: ignore[no-untyped-def]
    """The lines after this place, to the ceiling of bytes."""
    lines, last = 0, b"\n"
    while file.tell() <= COUNT_BYTES and (piece := file.read(1 << 20)):
        lines += piece.count(b"\n")
        last = piece[-1:]
    return lines + (last != b"\n")


def write_file(path: str, content: str) -> str:
    clean = new_file(path)
    old = os.path.getsize(clean) if os.path.exists(clean) else None
    new = content.encode("utf-8")
    store(clean, new)
    replaced = "" if old is None else f" It replaced the earlier file ({count(old, 'byte')})."
    return f"{shown(clean)} now exists, {measure(new)}.{replaced}"


def append_file(path: str, content: str) -> str:
    clean = new_file(path)
    new = content.encode("utf-8")
    if not os.path.exists(clean):
        store(clean, new)
        return f"{shown(clean)} did not exist; it now exists, {measure(new)}."
    old = load(clean)
    glue = b"" if not old or old.endswith(b"\n") else b"\n"
    store(clean, old + glue + new)
    return f"{shown(clean)} now ends with the new text: {measure(old + glue + new)} (before: {measure(old)})."


def edit_file(path: str, old_text: str, new_text: str, all: bool = False) -> str:
    clean = a_file(path)
    content = load(clean)
    old, new = old_text.encode("utf-8"), new_text.encode("utf-8")
    if not old:
        raise Failed("old_text is empty. Give the exact text to replace, or use append_file.")
    if old not in content and b"\r\n" in content:
        old, new = old.replace(b"\n", b"\r\n"), new.replace(b"\n", b"\r\n")
    found = content.count(old)
    if not found:
        raise Failed(
            f"The text was not found in {shown(clean)} ({measure(content)}). Nothing was changed. Read the file first."
        )
    places: list[str] = []
    at = -1
    while len(places) < NAMED and (at := content.find(old, at + 1)) >= 0:
        places.append(str(content.count(b"\n", 0, at) + 1))
    where = f"line {places[0]}" if found == 1 else f"lines {', '.join(places)}{' …' if found > len(places) else ''}"
    if found > 1 and not all:
        raise Failed(
            f"The text occurs {found} times in {shown(clean)} ({where}). Nothing was changed. "
            "Give more of the text around it, or all=true."
        )
    content = content.replace(old, new)
    store(clean, content)
    return f"{shown(clean)} is changed in {count(found, 'place')} ({where}). It now has {measure(content)}."


def search_files(text: str, path: str = ".", glob: str = "", regex: bool = False) -> str:
    clean = inside(path)
    if not text:
        raise Failed("Give the text to search for.")
    if not os.path.lexists(clean):
        raise Failed(missing(clean))
    files = walk(clean, SEARCH_FILES) if os.path.isdir(clean) else [clean]
    if glob:
        files = matching(files, glob)
    matches = matcher(text, regex)
    names = [name for name in files if matches(os.path.basename(name))]
    rows: list[str] = []
    total = with_hits = 0
    for name in files:
        hits = search_one(name, matches, rows)
        total += hits
        with_hits += bool(hits)
    rows = bounded(rows)
    quoted = f'"{shown(text[:80])}"'
    extra = f"\nIn file names: {named(names)}" if names else ""
    if not total:
        return f"No line with {quoted} in {count(len(files), 'file')}.{extra}"
    more = f"\n[… {total - len(rows):,} more matches]" if total > len(rows) else ""
    head = f"{count(total, 'match')} for {quoted} in {with_hits:,} of {count(len(files), 'file')}:"
    return head + "\n" + "\n".join(rows) + more + extra


def matching(files: list[str], glob: str) -> list[str]:
    import fnmatch

    glob = glob.removeprefix("**/").removeprefix("./")
    return [f for f in files if fnmatch.fnmatch(f, glob) or fnmatch.fnmatch(os.path.basename(f), glob)]


def matcher(text: str, regex: bool):  # type: ignore[no-untyped-def]
    if not regex:
        wanted = text.casefold()
        return lambda line: wanted in line.casefold()
    import re

    try:
        return re.compile(text, re.IGNORECASE).search
    except re.error as error:
        raise Failed(f"That is not a regular expression: {error}.") from None


def search_one(name: str, matches, rows: list[str]) -> int:  # type: ignore[no-untyped-def]
    """Count the matching lines of one text file and add the first of them to the rows."""
    try:
        if os.path.islink(name) or not os.path.isfile(name) or os.path.getsize(name) > SEARCH_FILE_BYTES:
            return 0
        with open(name, "rb") as file:
            content = file.read(SEARCH_FILE_BYTES)
    except OSError:
        return 0
    if b"\0" in content[:8192]:
        return 0
    hits = 0
    for number, raw in enumerate(content.decode("utf-8", "replace").split("\n"), 1):
        if matches(raw):
            hits += 1
            if len(rows) < SEARCH_HITS:
                line = raw.strip()
                cut = line if len(line) <= HIT_CHARS else line[:HIT_CHARS] + " …"
                rows.append(f"{shown(name)}:{number}: {shown(cut)}")
    return hits


def move_file(path: str, new_path: str) -> str:
    source = inside(path, follow=False)
    if not os.path.lexists(source):
        raise Failed(missing(source))
    if source == ".":
        raise Failed("The workspace itself cannot be moved.")
    target = inside(new_path, follow=False)
    if os.path.isdir(target) or new_path.rstrip().endswith("/"):
        target = inside(target + "/" + os.path.basename(source), follow=False)
    if os.path.lexists(target):
        raise Failed(f"{shown(target)} already exists. Nothing was moved. Delete it first, or choose another name.")
    if target.startswith(source + "/"):
        raise Failed("A folder cannot be moved into itself.")
    try:
        os.makedirs(os.path.dirname(target) or ".", exist_ok=True)
        os.rename(source, target)
    except (FileExistsError, NotADirectoryError):
        raise Failed(f"{shown(target)} cannot be made: a part of its path is a file, not a folder.") from None
    return f"{shown(source)} is now {shown(target)}. {shown(source)} no longer exists."


def delete_file(paths: str) -> str:
    chosen = [inside(line, follow=False) for line in paths.split("\n") if line.strip()]
    chosen = list(dict.fromkeys(chosen))
    if not chosen:
        raise Failed("Give the path of a file to delete.")
    for clean in chosen:
        check_deletable(clean, chosen)
    for clean in sorted(chosen, key=lambda name: -name.count("/")):
        os.rmdir(clean) if os.path.isdir(clean) and not os.path.islink(clean) else os.unlink(clean)
    verb = "is deleted; it no longer exists" if len(chosen) == 1 else "are deleted; they no longer exist"
    return f"{named(chosen)} {verb}."


def check_deletable(clean: str, chosen: list[str]) -> None:
    if clean == ".":
        raise Failed("The workspace itself cannot be deleted. Nothing was deleted.")
    if not os.path.lexists(clean):
        raise Failed(f"{missing(clean)} Nothing was deleted.")
    if os.path.isdir(clean) and not os.path.islink(clean):
        left = [os.path.join(clean, name) for name in sorted(os.listdir(clean))]
        left = [name for name in left if name not in chosen]
        if left:
            raise Failed(
                f"{shown(clean)} is a folder that still holds {named(left)}. Nothing was deleted. "
                "Name what is inside too, one path per line."
            )


def inventory() -> str:
    """Every file of the workspace, one a line: size, time in microseconds, name; nothing when it cannot be all of them.

    For look-ups of the gateway ("the largest file"): told whole whatever was asked for, because a part would make another
    file the largest.
    """
    names = walk(".", INVENTORY_FILES + 1)
    rows = {shown(name): os.lstat(name) for name in names}
    if len(names) > INVENTORY_FILES or len(rows) < len(names):
        return ""
    text = "\n".join(f"{look.st_size}\t{look.st_mtime_ns // 1000}\t{name}" for name, look in rows.items())
    return text if len(text.encode("utf-8", "backslashreplace")) <= INVENTORY_BYTES else ""


TOOLS = {
    tool.__name__: tool
    for tool in (list_files, read_file, write_file, append_file, edit_file, search_files, move_file, delete_file)
}
OFFSET_S = 0
FAILED_EXIT = 4  # not 1 or 2, which an interpreter that broke would use


def parse(text: str):  # type: ignore[no-untyped-def]
    """JSON without the json package, whose import takes as long as starting Python; with it where the C scanner is missing."""
    try:
        from _json import make_scanner
    except ImportError:
        import json

        return json.loads(text)

    class Plain:
        strict, object_hook, object_pairs_hook = True, None, None
        parse_float, parse_int, parse_constant = float, int, float

    return make_scanner(Plain)(text, 0)[0]  # type: ignore[arg-type]  # it reads six attributes, of anything


def main(tool: str, arguments) -> tuple[int, str]:  # type: ignore[no-untyped-def]
    """Run one tool; returns (exit code, text)."""
    try:
        text = TOOLS[tool](**arguments)
        return 0, text + INVENTORY + inventory() if tool in ("list_files", "search_files") else text
    except Failed as failure:
        return FAILED_EXIT, str(failure)
    except OSError as error:
        name = f" ({shown(os.fsdecode(error.filename))})" if error.filename else ""
        return FAILED_EXIT, f"That did not work: {error.strerror}{name}."


if __name__ == "__main__":
    OFFSET_S = int(sys.argv[2])
    code, text = main(sys.argv[1], parse(sys.stdin.buffer.read().decode("utf-8")))
    sys.stdout.buffer.write(text.encode("utf-8", "backslashreplace"))
    sys.stdout.flush()
    os._exit(code)  # nothing is left to clean up, and the interpreter's own leave-taking costs 2 ms
