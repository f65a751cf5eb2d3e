"""The Bot API's JSON: updates in, requests out.

Layer: adapters/channels; pure. Owns which updates count and what each says of sender, place and address.
Absent: the network, and which chat became which (the adapter maps ids). Source: core.telegram.org/bots/api.
Laws: nothing but Malformed is raised; a sender is a numeric id; a name or an @name decides nothing but whether the bot
was called; a service message is never a person's words.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, prose, word
from carapax.core.terms.channel import Attached, Heard, Outgoing, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed

# Telegram's limit is 4,096 characters; the rest is room for what keeps names from being called.
TEXT_CHARS = 3_900
CAPTION_CHARS = 900
UPDATES = ("message", "edited_message", "callback_query", "my_chat_member", "chat_member")
GONE = ("left", "kicked")
_FILE_PATH = re.compile(r"[A-Za-z0-9_][A-Za-z0-9_.-]*(/[A-Za-z0-9_][A-Za-z0-9_.-]*)*")
_SINGLE_FILES = ("document", "voice", "audio", "video", "video_note", "animation", "sticker")
_TYPES = {"voice": "audio/ogg", "video_note": "video/mp4", "sticker": "image/webp"}


@dataclass(frozen=True, slots=True)
class Me:
    """The bot itself."""

    id: int
    username: str
    name: str
    reads_all: bool
    joins_groups: bool


@dataclass(frozen=True, slots=True)
class Update:
    """One update: its number, and what it says (several things for people who leave; nothing for most kinds)."""

    number: int
    heard: tuple[Heard, ...] = ()
    query: str = ""  # the button press that wants an answer
    moved: tuple[str, str] | None = None  # this chat is now that one


@dataclass(frozen=True, slots=True)
class Answered:
    """What the Bot API answered: a result, or why not."""

    ok: bool
    result: Any = None
    code: int = 0
    said: str = ""
    retry_after_s: int = 0
    moved_to: str = ""


def parse_answer(raw: bytes) -> Answered:
    """An answer of the Bot API. Raises Malformed."""
    given = parse_object(raw)
    if given.get("ok") is True:
        return Answered(ok=True, result=given.get("result"))
    more = part(given, "parameters")
    moved = more.get("migrate_to_chat_id")
    return Answered(
        ok=False,
        code=number(given, "error_code") or 0,
        said=name(given, "description", 200),
        retry_after_s=min(number(more, "retry_after") or 0, 3_600),
        moved_to=str(_whole(moved)) if moved is not None else "",
    )


def parse_me(result: Any) -> Me:
    """Who the bot is. Raises Malformed."""
    given = _object(result)
    return Me(
        id=_user_id(given),
        username=word(given, "username", 64),
        name=name(given, "first_name"),
        reads_all=given.get("can_read_all_group_messages") is True,
        joins_groups=given.get("can_join_groups") is True,
    )


def parse_updates(result: Any, channel: str, me: Me) -> list[Update]:
    """A batch of updates, in order. An update that cannot be read keeps its number and says nothing. Raises Malformed."""
    if not isinstance(result, list) or len(result) > 1_000:
        raise Malformed("The updates are no list.")
    found = []
    for entry in result:
        given = _object(entry)
        try:
            found.append(parse_update(given, channel, me))
        except Malformed:
            found.append(Update(_update_number(given)))
    return found


def parse_update(given: dict[str, Any], channel: str, me: Me) -> Update:
    """One update. Raises Malformed."""
    count = _update_number(given)
    if message := part(given, "message"):
        return _message(message, count, channel, me, edited=False)
    if message := part(given, "edited_message"):
        return _message(message, count, channel, me, edited=True)
    if query := part(given, "callback_query"):
        return _press(query, count, channel, me)
    for kind in ("my_chat_member", "chat_member"):
        if change := part(given, kind):
            return _change(change, count, channel, me)
    return Update(count)


def parse_file_path(result: Any) -> str:
    """Where a file can be fetched, made of plain path segments only. Raises Malformed."""
    path = word(_object(result), "file_path", 512)
    if not _FILE_PATH.fullmatch(path):
        raise Malformed("This is no path of a file.")
    return path


def parse_sent(result: Any) -> str:
    """The id of a message that was sent. Raises Malformed."""
    return str(_whole(_object(result).get("message_id")))


def _message(given: dict[str, Any], count: int, channel: str, me: Me, *, edited: bool) -> Update:
    chat = part(given, "chat")
    moved = given.get("migrate_to_chat_id")
    if moved is not None:
        return Update(count, moved=(str(_whole(chat.get("id"))), str(_whole(moved))))
    place = _place(given, channel)
    message = str(_whole(given.get("message_id")))
    if left := part(given, "left_chat_member"):
        gone = Removed(_whole_chat(place), event=f"l:{count}", person=str(_user_id(left)))
        return Update(count, (gone,))
    sender = _sender(given)
    text = prose(given, "text") or prose(given, "caption")
    files = tuple(_files(given))
    if sender.id == str(me.id) or not (text or files):
        return Update(count)
    replied = part(given, "reply_to_message")
    to_me = part(replied, "from").get("id") == me.id
    received = Received(
        place=place,
        sender=sender,
        # A message keeps its id through edits, so each version needs its own.
        event=f"e:{place.chat}:{message}:{count}" if edited else f"m:{place.chat}:{message}",
        text=_without_address(text, given, me),
        sent_ms=(number(given, "edit_date" if edited else "date") or 0) * 1000,
        message=message,
        addressed=place.private or to_me or _calls(given, me),
        reply_to=str(_whole(replied["message_id"])) if "message_id" in replied and not _opens(replied) else "",
        quoted=_quoted(given, replied, to_me=to_me),
        # What another bot composed in somebody's name is not their own words.
        forwarded=bool(part(given, "forward_origin") or part(given, "via_bot") or given.get("is_automatic_forward")),
        edited=edited,
        files=files,
    )
    return Update(count, (received,))


def _press(given: dict[str, Any], count: int, channel: str, me: Me) -> Update:
    query = word(given, "id", 64)
    message = part(given, "message")
    data = given.get("data")
    if not message or not query or not isinstance(data, str) or not 0 < len(data.encode("utf-8", "replace")) <= 64:
        return Update(count, query=query)
    if part(message, "from").get("id") not in (None, me.id):
        return Update(count, query=query)
    pressed = Received(
        place=_place(message, channel),
        sender=_person(part(given, "from")),
        event=f"c:{query}",
        text="",
        message=str(_whole(message.get("message_id"))),
        pressed=data,
    )
    return Update(count, (pressed,), query=query)


def _change(given: dict[str, Any], count: int, channel: str, me: Me) -> Update:
    """Somebody's standing in a chat changed; a private chat tells of the bot when the person blocked it."""
    after = part(given, "new_chat_member")
    status = word(after, "status", 32)
    if status not in GONE and not (status == "restricted" and after.get("is_member") is False):
        return Update(count)
    place = _place(given, channel)
    who = part(given, "from") if place.private else part(after, "user")
    return Update(count, (Removed(place, event=f"l:{count}", person=str(_user_id(who))),))


def _place(given: dict[str, Any], channel: str) -> Place:
    chat = part(given, "chat")
    thread = given.get("message_thread_id") if given.get("is_topic_message") is True else None
    return Place(
        channel=channel,
        chat=str(_whole(chat.get("id"))),
        thread="" if thread is None else str(_whole(thread)),
        private=word(chat, "type", 32) == "private",
    )


def _whole_chat(place: Place) -> Place:
    return Place(place.channel, place.chat, private=place.private)


def _sender(given: dict[str, Any]) -> Person:
    """Who wrote it: an account, or the chat in whose name an anonymous administrator or a channel spoke."""
    if chat := part(given, "sender_chat"):
        return Person(id=str(_whole(chat.get("id"))), name=name(chat, "title"))
    return _person(part(given, "from"))


def _person(given: dict[str, Any]) -> Person:
    full = f"{name(given, 'first_name')} {name(given, 'last_name')}".strip()
    return Person(id=str(_user_id(given)), name=full, bot=given.get("is_bot") is True)


def _entities(given: dict[str, Any]) -> Iterator[tuple[str, str, dict[str, Any]]]:
    """Every entity's kind and words. Offsets count UTF-16 units of the text as it was sent."""
    for text, key in (("text", "entities"), ("caption", "caption_entities")):
        raw = given.get(text)
        units = raw.encode("utf-16-le", "replace") if isinstance(raw, str) else b""
        for entity in parts(given, key):
            start, length = number(entity, "offset") or 0, number(entity, "length") or 0
            found = units[2 * start : 2 * (start + length)].decode("utf-16-le", "replace")
            yield word(entity, "type", 32), found, entity


def _calls(given: dict[str, Any], me: Me) -> bool:
    mine = f"@{me.username}".lower()
    for kind, found, entity in _entities(given):
        if kind == "text_mention" and part(entity, "user").get("id") == me.id:
            return True
        if me.username and kind == "mention" and found.lower() == mine:
            return True
        if me.username and kind == "bot_command" and found.lower().endswith(mine):
            return True
    return False


def _without_address(text: str, given: dict[str, Any], me: Me) -> str:
    """`/help@this_bot` is `/help`: in a group that is how a command is meant for one bot."""
    for kind, found, entity in _entities(given):
        if kind == "bot_command" and (number(entity, "offset") or 0) == 0:
            command, _, bot = found.partition("@")
            if bot and bot.lower() == me.username.lower() and text.startswith(found):
                return command + text[len(found) :]
    return text


def _opens(replied: dict[str, Any]) -> bool:
    """Messages of a topic count as replies to the service message that opened it."""
    return "forum_topic_created" in replied


def _quoted(given: dict[str, Any], replied: dict[str, Any], *, to_me: bool) -> str:
    part_of_it = prose(part(given, "quote"), "text")
    if part_of_it:
        return part_of_it
    return "" if to_me else prose(replied, "text") or prose(replied, "caption")


def _files(given: dict[str, Any]) -> Iterator[Attached]:
    for kind in _SINGLE_FILES:
        # An animation is told as a document, too.
        if (file := part(given, kind)) and not (kind == "animation" and "document" in given):
            yield Attached(
                ref=_file_id(file),
                name=name(file, "file_name"),
                type=word(file, "mime_type", 128) or _TYPES.get(kind, ""),
                size_bytes=number(file, "file_size"),
                voice=kind == "voice",
            )
    if sizes := parts(given, "photo"):
        largest = max(sizes, key=lambda size: number(size, "file_size") or 0)
        yield Attached(ref=_file_id(largest), type="image/jpeg", size_bytes=number(largest, "file_size"))


def _file_id(given: dict[str, Any]) -> str:
    if not (found := word(given, "file_id", 256)):
        raise Malformed("A file has no id.")
    return found


def _object(given: Any) -> dict[str, Any]:
    if not isinstance(given, dict):
        raise Malformed("This is no object.")
    return given


def _whole(given: Any) -> int:
    if isinstance(given, bool) or not isinstance(given, int) or not -(1 << 62) < given < 1 << 62:
        raise Malformed("This is no id.")
    return given


def _user_id(given: dict[str, Any]) -> int:
    found = _whole(given.get("id"))
    if found <= 0:
        raise Malformed("This is no account's id.")
    return found


def _update_number(given: dict[str, Any]) -> int:
    found = number(given, "update_id")
    if found is None:
        raise Malformed("An update has no number.")
    return found


def render_target(place: Place, chat: str) -> dict[str, Any]:
    """Where a request goes; `chat` is the chat's id at this time. Raises Malformed for a place of another platform."""
    try:
        target: dict[str, Any] = {"chat_id": int(chat)}
        if place.thread:
            target["message_thread_id"] = int(place.thread)
    except ValueError:
        raise Malformed("This is no place in Telegram.") from None
    return target


def render_extras(outgoing: Outgoing) -> dict[str, Any]:
    """What a message points at and asks. Raises Malformed for a button whose data Telegram would not take."""
    extras: dict[str, Any] = {}
    if outgoing.reply_to:
        extras["reply_parameters"] = {"message_id": _id_of(outgoing.reply_to), "allow_sending_without_reply": True}
    if outgoing.buttons:
        for button in outgoing.buttons:
            if not 0 < len(button.data.encode()) <= 64:
                raise Malformed("The data of a button has 1 to 64 bytes.")
        # One below the other: labels are whole sentences.
        rows = [[{"text": button.label, "callback_data": button.data}] for button in outgoing.buttons]
        extras["reply_markup"] = {"inline_keyboard": rows}
    return extras


def render_reaction(mark: str) -> list[dict[str, str]]:
    """The reactions a message has from then on."""
    return [{"type": "emoji", "emoji": mark}] if mark else []


def message_number(message: str) -> int:
    """A message's id as the Bot API wants it. Raises Malformed."""
    return _id_of(message)


def _id_of(message: str) -> int:
    if not message.isascii() or not message.isdigit() or len(message) > 18:
        raise Malformed("This is no message of Telegram.")
    return int(message)
