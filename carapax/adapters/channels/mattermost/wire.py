"""Mattermost's events, posts and button presses to terms, and messages to its REST bodies.

Layer: adapters/channels; pure. Owns field checks, who really wrote a post, and how mentions are made harmless.
Absent: the connection and requests (adapter.py).
Laws: a post that a webhook or a plugin made is never its owner's word, though it carries the owner's id; nothing that is
sent notifies anybody, shows a preview or loads a picture.
Source: developers.mattermost.com/api-documentation, and the server's model of posts and integration actions.
"""

from __future__ import annotations

import base64
import binascii
import hashlib
import re
from dataclasses import dataclass
from typing import Any

from carapax.adapters.channels.code_spans import change_around_code
from carapax.adapters.channels.fields import name, number, parse_object, part, parts, prose, word
from carapax.core.terms.channel import Attached, Evidence, Heard, Outgoing, Person, Place, Received, Removed
from carapax.core.terms.error import Malformed
from carapax.ports.channel import SendRefused

TEXT_CHARS = 4_000
MAX_CHARS = 16_383
SAID_BY_PEOPLE = ("", "me", "slack_attachment")
LEFT = {"system_leave_channel": "", "system_remove_from_channel": "removedUserId"}
MADE_BY_SOMETHING = ("from_webhook", "from_plugin")
_ID = re.compile(r"[a-z0-9]{26}")
_EMOJI = re.compile(r"[a-z0-9_+-]{1,64}")
_MENTION = re.compile(r"(?<!\w)@(?=[A-Za-z0-9])", re.ASCII)  # the server knows letters of ASCII only
_EVERYBODY = re.compile(r"@(?=(?:all|channel|here)\b)", re.IGNORECASE)
_PICTURE = re.compile(r"!(?=\[)")


@dataclass(frozen=True, slots=True)
class Me:
    id: str
    username: str


@dataclass(frozen=True, slots=True)
class Event:
    """One frame of the socket. `post` is there for the events that are about one."""

    type: str
    fields: dict[str, Any]
    post: dict[str, Any]


@dataclass(frozen=True, slots=True)
class Press:
    """A request of a pressed button, not believed yet."""

    user: str
    channel: str
    post: str
    trigger: str
    at_ms: int
    data: str
    key: str
    mac: bytes

    @property
    def signed(self) -> bytes:
        return button_message(self.channel, self.key, self.data)


def parse_event(raw: bytes | str) -> Event:
    """A frame of the socket. Raises Malformed."""
    given = parse_object(raw)
    fields = part(given, "data")
    post = fields.get("post")
    return Event(word(given, "event"), fields, parse_object(post) if isinstance(post, str) else {})


def parse_channel(given: dict[str, Any]) -> tuple[str, str, str]:
    """Id, type and team of a channel. Raises Malformed."""
    return checked_id(word(given, "id")), word(given, "type", 8), word(given, "team_id")


def parse_post(post: dict[str, Any], place: Place, me: Me, *, edited: bool, to_me: bool = False) -> Heard | None:
    """What a post in a place says to the agent. `to_me`: it stands in a thread that the agent began. Raises Malformed."""
    id, type = checked_id(word(post, "id")), word(post, "type")
    author, props = checked_id(word(post, "user_id")), part(post, "props")
    if type in LEFT:
        left = word(props, LEFT[type]) if LEFT[type] else author
        return Removed(place, id, person=checked_id(left)) if left != me.id else None
    if author == me.id or type not in SAID_BY_PEOPLE:
        return None
    made = any(props.get(key) in ("true", True) for key in MADE_BY_SOMETHING)
    text, stamp = prose(post, "message"), number(post, "edit_at") or 0
    return Received(
        place=place,
        sender=Person(f"made:{author}" if made else author, bot=made or props.get("from_bot") in ("true", True)),
        event=f"{id}:{stamp}" if stamp else id,
        text=without_call(text, me.username),
        sent_ms=number(post, "create_at") or 0,
        message=id,
        evidence=Evidence.NONE if made else Evidence.PLATFORM,
        addressed=place.private or to_me or calls(text, me.username),
        quoted="\n".join(_quoted(post)),
        edited=edited,
        files=tuple(map(_file, parts(part(post, "metadata"), "files"))),
    )


def parse_removed(post: dict[str, Any], place: Place) -> Removed:
    """A post that was deleted. Raises Malformed."""
    id = checked_id(word(post, "id"))
    return Removed(place, f"{id}:deleted", message=id)


def root_of(post: dict[str, Any]) -> str:
    root = word(post, "root_id")
    return checked_id(root) if root else ""


def _quoted(post: dict[str, Any]) -> list[str]:
    """The words of posts that a link in this one shows."""
    embeds = [embed for embed in parts(part(post, "metadata"), "embeds") if word(embed, "type") == "permalink"]
    return [prose(part(part(embed, "data"), "post"), "message") for embed in embeds]


def _file(given: dict[str, Any]) -> Attached:
    type = word(given, "mime_type")
    # Mattermost marks no recordings; what its clients record is a sound file of this name.
    voice = type.startswith("audio/") and name(given, "name").lower().startswith("voice")
    return Attached(checked_id(word(given, "id")), name(given, "name"), type, number(given, "size"), voice)


def calls(text: str, username: str) -> bool:
    """Whether a text mentions this user name, as Mattermost sees it."""
    return _call(username).search(change_around_code(text, str, lambda code: " ")) is not None


def without_call(text: str, username: str) -> str:
    """The text without a mention at its beginning."""
    found = _call(username).match(text)
    return text[found.end() :].strip() if found else text


def _call(username: str) -> re.Pattern[str]:
    return re.compile(rf"(?<![\w.@-])@{re.escape(username)}(?![\w-])", re.IGNORECASE)


def parse_press(body: bytes) -> Press:
    """A pressed button's request. Raises Malformed."""
    given = parse_object(body)
    context = part(given, "context")
    user, channel, post = (checked_id(word(given, key)) for key in ("user_id", "channel_id", "post_id"))
    trigger = word(given, "trigger_id", 1_024)
    try:
        _, its_user, at, _ = base64.b64decode(trigger, validate=True).decode("ascii").split(":", 3)
        mac, at_ms = bytes.fromhex(word(context, "mac")), int(at)
    except (ValueError, binascii.Error):
        raise Malformed("The press names no trigger, or has no proof.") from None
    if its_user != user:
        raise Malformed("The press is of another person than its trigger.")
    return Press(user, channel, post, trigger, at_ms, word(context, "data", 64), word(context, "key"), mac)


def button_message(channel: str, key: str, data: str) -> bytes:
    """What a button's proof is made over."""
    return b"\0".join(word.encode("utf-8", "replace") for word in ("carapax-button", channel, key, data))


def key_of(outgoing: Outgoing) -> str:
    return hashlib.sha256(outgoing.key.encode("utf-8", "replace")).hexdigest()[:26]


def render_message(
    outgoing: Outgoing, me: Me, files: list[str], buttons: list[tuple[str, str, str]], url: str
) -> dict[str, Any]:
    """The body of a new post; `buttons` are label, data and proof. Raises SendRefused when it is too long."""
    body: dict[str, Any] = {
        "channel_id": outgoing.place.chat,
        "root_id": outgoing.place.thread,
        # The server takes this id for the same post, but for half a minute only.
        "pending_post_id": f"{me.id}:{key_of(outgoing)}",
        "file_ids": files,
        **_text(outgoing.text),
    }
    if buttons:
        actions = [
            {
                "id": f"carapax{number}",
                "type": "button",
                "name": label[:100],
                "integration": {"url": url, "context": {"data": data, "key": key_of(outgoing), "mac": mac}},
            }
            for number, (label, data, mac) in enumerate(buttons)
        ]
        body["props"]["attachments"] = [{"actions": actions}]
    return body


def render_edit(text: str) -> dict[str, Any]:
    """The body of a changed post; its buttons go."""
    return _text(text)


def _text(text: str) -> dict[str, Any]:
    plain = make_harmless(text)
    if len(plain) > MAX_CHARS:
        raise SendRefused(f"The message is longer than Mattermost takes ({MAX_CHARS:,} characters).")
    return {"message": plain, "props": {"unsafe_links": "true", "disable_group_highlight": True}}


def make_harmless(text: str) -> str:
    """Mentions and pictures broken by an invisible space; in code only what would call everybody."""
    return change_around_code(text, _prose, lambda code: _EVERYBODY.sub("@\u200b", code))


def _prose(text: str) -> str:
    return _PICTURE.sub("!\u200b", _MENTION.sub("@\u200b", text))


def said_error(content: bytes) -> str:
    """The server's own words for a refusal, cut and plain."""
    try:
        given = parse_object(content)
        return f"{name(given, 'message', 200)} ({name(given, 'id', 100)})"
    except Malformed:
        return ""


def checked_id(id: str) -> str:
    """An id of Mattermost's. Raises Malformed."""
    if _ID.fullmatch(id) is None:
        raise Malformed("This is no id of Mattermost's.")
    return id


def is_emoji(name: str) -> bool:
    """Whether a name of an emoji may stand in a path."""
    return _EMOJI.fullmatch(name) is not None
