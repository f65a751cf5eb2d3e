"""Slack's payloads: events, button presses and socket frames to terms, and messages to its API's bodies.

Layer: adapters/channels; pure. Owns field checks, the identity of a message version, and the error words' meaning.
Absent: the connection, signatures (adapter.py) and how Markdown is rendered (mrkdwn.py).
Laws: one version of a message has one event id, by whichever event it is told; what the bot itself wrote is nothing.
Source: docs.slack.dev (Events API, Socket Mode, Block Kit, Web API).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from urllib.parse import parse_qs

from carapax.adapters.channels.fields import name, number, parse_object, part, parts, plain, prose, word
from carapax.adapters.channels.slack.mrkdwn import read_text, render_text
from carapax.core.terms.channel import Attached, Heard, Outgoing, Person, Place, Received, Removed
from carapax.core.terms.error import CarapaxError, Malformed
from carapax.ports.channel import ChannelFailed, CredentialRefused, SendRefused

SECTION_CHARS = 3_000
TEXT_CHARS = 40_000
BUTTON_CHARS = 75
PLAIN_SUBTYPES = ("", "file_share", "thread_broadcast", "bot_message", "me_message")
CREDENTIAL_ERRORS = frozenset({
    "invalid_auth", "not_authed", "account_inactive", "token_revoked", "token_expired", "not_allowed_token_type",
})  # fmt: skip
PASSING_ERRORS = frozenset({
    "internal_error", "fatal_error", "service_unavailable", "request_timeout", "team_added_to_org", "rollup_error",
})  # fmt: skip


@dataclass(frozen=True, slots=True)
class Me:
    """Who the bot is in its workspace."""

    user: str
    bot: str
    name: str = ""
    team: str = ""


@dataclass(frozen=True, slots=True)
class Frame:
    """One frame of the socket. `envelope` is what is acknowledged, "" when nothing is."""

    type: str
    envelope: str
    payload: dict[str, Any]
    reason: str = ""


def parse_frame(raw: bytes | str) -> Frame:
    """A frame of Socket Mode. Raises Malformed."""
    given = parse_object(raw)
    return Frame(word(given, "type"), word(given, "envelope_id"), part(given, "payload"), word(given, "reason"))


def parse_request(type: str, body: bytes) -> dict[str, Any]:
    """The payload of a signed request: JSON for events, a form with `payload` for presses. Raises Malformed."""
    kind = type.split(";")[0].strip().lower()
    if kind == "application/json":
        return parse_object(body)
    if kind != "application/x-www-form-urlencoded":
        raise Malformed("This is neither JSON nor a form.")
    try:
        found = parse_qs(body.decode("utf-8"), strict_parsing=True, max_num_fields=20).get("payload", [])
    except ValueError:
        raise Malformed("This is not a form.") from None
    if len(found) != 1:
        raise Malformed("The form has no payload.")
    return parse_object(found[0])


def parse_payload(given: dict[str, Any], me: Me, channel: str) -> Heard | None:
    """What a payload says, None when it is nothing for the agent. Raises Malformed."""
    match word(given, "type"):
        case "event_callback":
            return _event(given, me, channel)
        case "block_actions":
            return _press(given, channel)
        case _:
            return None


def missed_payload(message: dict[str, Any], channel: str) -> dict[str, Any]:
    """A message that a channel's history lists, as the event that was missed."""
    return {"type": "event_callback", "event": {"type": "message", **message, "channel": channel}}


def _event(given: dict[str, Any], me: Me, channel: str) -> Heard | None:
    event = part(given, "event")
    match word(event, "type"), word(event, "subtype"):
        case "message" | "app_mention", subtype if subtype in PLAIN_SUBTYPES:
            return _message(event, me, _place(event, channel))
        case "message", "message_changed":
            return _changed(event, me, channel)
        case "message", "message_deleted":
            return _deleted(event, channel)
        case "member_left_channel", "":
            place = Place(channel, _needed(event, "channel"), private=False)
            return Removed(place, _needed(given, "event_id"), person=_needed(event, "user"))
        case _:
            return None


def _place(event: dict[str, Any], channel: str, message: dict[str, Any] | None = None) -> Place:
    chat = _needed(event, "channel")
    inner = event if message is None else message
    thread = word(inner, "thread_ts")
    if thread == word(inner, "ts") and not word(inner, "parent_user_id"):
        thread = ""  # the message that a thread hangs on stands in the channel itself
    # A conversation of two begins with D; both signs have to agree before it counts as private.
    private = chat.startswith("D") and word(event, "channel_type") in ("im", "")
    return Place(channel, chat, thread, private)


def _message(message: dict[str, Any], me: Me, place: Place, *, edited: str = "") -> Received | None:
    bot = word(message, "bot_id")
    sender = word(message, "user") or bot
    if not sender or sender == me.user or (bot and bot == me.bot):
        return None
    stamp = _needed(message, "ts")
    raw = prose(message, "text")
    own = read_text(raw, me.user)
    shared = "\n".join(
        read_text(prose(entry, "text"), "") for entry in parts(message, "attachments") if _is_share(entry)
    )
    forwarded = bool(shared and not own.strip())
    return Received(
        place=place,
        sender=Person(sender, name(part(message, "user_profile"), "real_name") or name(message, "username"), bool(bot)),
        event=f"{place.chat}:{stamp}" + (f":{edited}" if edited else ""),
        text=shared if forwarded else own,
        sent_ms=_millis(stamp),
        message=stamp,
        addressed=place.private or f"<@{me.user}>" in raw or word(message, "parent_user_id") == me.user,
        quoted="" if forwarded else plain(shared),
        forwarded=forwarded,
        edited=bool(edited),
        files=tuple(filter(None, map(_file, parts(message, "files")))),
    )


def _is_share(entry: dict[str, Any]) -> bool:
    return entry.get("is_share") is True or entry.get("is_msg_unfurl") is True


def _file(given: dict[str, Any]) -> Attached | None:
    if word(given, "mode") == "tombstone" or not word(given, "id"):
        return None
    return Attached(
        ref=word(given, "id"),
        name=name(given, "name"),
        type=word(given, "mimetype"),
        size_bytes=number(given, "size"),
        voice=word(given, "subtype") == "slack_audio",
    )


def _changed(event: dict[str, Any], me: Me, channel: str) -> Received | None:
    message = part(event, "message")
    stamp = word(part(message, "edited"), "ts")
    if not stamp:
        return None  # a preview was added, or a thread got an answer: nobody changed the words
    return _message(message, me, _place(event, channel, message), edited=stamp)


def _deleted(event: dict[str, Any], channel: str) -> Removed:
    stamp = _needed(event, "deleted_ts")
    place = _place(event, channel, part(event, "previous_message"))
    return Removed(place, f"{place.chat}:{stamp}:deleted", message=stamp)


def _press(given: dict[str, Any], channel: str) -> Received | None:
    actions = parts(given, "actions")
    container = part(given, "container")
    if len(actions) != 1 or word(actions[0], "type") != "button" or word(container, "type") != "message":
        return None
    user, stamp = part(given, "user"), _needed(container, "message_ts")
    chat = _needed(container, "channel_id")
    thread = word(container, "thread_ts")
    place = Place(channel, chat, "" if thread == stamp else thread, chat.startswith("D"))
    at = _needed(actions[0], "action_ts")
    return Received(
        place=place,
        sender=Person(_needed(user, "id"), name(user, "name") or name(user, "username")),
        event=f"{chat}:{stamp}:{word(user, 'id')}:{at}",
        text="",
        sent_ms=_millis(at),
        message=stamp,
        pressed=_needed(actions[0], "value"),
    )


def render_message(outgoing: Outgoing) -> dict[str, Any]:
    """The body of chat.postMessage. Raises SendRefused when it is too long."""
    text = render_text(outgoing.text)
    if len(text) > TEXT_CHARS:
        raise SendRefused(f"The message is longer than Slack takes ({TEXT_CHARS:,} characters).")
    body: dict[str, Any] = {
        "channel": outgoing.place.chat,
        "text": text,
        "parse": "none",
        "link_names": False,
        "unfurl_links": False,
        "unfurl_media": False,
    }
    if outgoing.place.thread:
        body["thread_ts"] = outgoing.place.thread
    if outgoing.buttons:
        cuts = range(0, len(text), SECTION_CHARS)
        sections = [{"type": "mrkdwn", "text": text[at : at + SECTION_CHARS], "verbatim": True} for at in cuts]
        presses = [
            {
                "type": "button",
                "text": {"type": "plain_text", "text": button.label[:BUTTON_CHARS], "emoji": True},
                "action_id": f"carapax-{number}",
                "value": button.data,
            }
            for number, button in enumerate(outgoing.buttons[:25])
        ]
        body["blocks"] = [
            *({"type": "section", "text": section} for section in sections),
            {"type": "actions", "elements": presses},
        ]
    return body


def render_edit(chat: str, message: str, text: str) -> dict[str, Any]:
    """The body of chat.update; buttons of the message go."""
    return {
        "channel": chat, "ts": message, "text": render_text(text), "parse": "none", "link_names": False, "blocks": [],
    }  # fmt: skip


def said_error(given: dict[str, Any], method: str) -> CarapaxError | None:
    """What `"ok": false` means; None when it is ok."""
    if given.get("ok") is True:
        return None
    said = given.get("error")
    said = said[:80] if isinstance(said, str) and said.isprintable() else "unknown_error"
    words = f"Slack refused {method}: {said}."
    if said in CREDENTIAL_ERRORS:
        return CredentialRefused(words)
    if said in ("ratelimited", "rate_limited"):
        return ChannelFailed(words, retry_after_ms=30_000)
    if said in PASSING_ERRORS:
        return ChannelFailed(words, unknown=True)
    if said == "missing_scope":
        lacks = given.get("needed")
        return SendRefused(words, next_step=f"Give the app the scope {str(lacks)[:80]} and install it again.")
    return SendRefused(words)


def _needed(given: dict[str, Any], key: str) -> str:
    found = word(given, key)
    if not found:
        raise Malformed(f"The field {key!r} is missing.")
    return found


def _millis(stamp: str) -> int:
    seconds, _, rest = stamp.partition(".")
    if not (seconds.isascii() and seconds.isdigit() and len(seconds) <= 12):
        raise Malformed("This is not one of Slack's timestamps.")
    return int(seconds) * 1000 + (int(rest[:3].ljust(3, "0")) if rest.isascii() and rest.isdigit() else 0)
