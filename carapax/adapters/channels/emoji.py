"""Emoji by the short names that Slack and Mattermost share.

Layer: adapters/channels; pure. Absent: emoji that nobody reacts with here, and a workspace's own.
"""

from __future__ import annotations

from carapax.ports.channel import SendRefused

SHORT_NAMES = {
    "👀": "eyes", "👍": "+1", "👎": "-1", "✅": "white_check_mark", "❌": "x", "⏳": "hourglass_flowing_sand", "⌛": "hourglass",
    "❤": "heart", "🎉": "tada", "🙏": "pray", "🤔": "thinking_face", "⚠": "warning", "🚫": "no_entry_sign", "🔥": "fire", "👌": "ok_hand",
    "😀": "grinning", "😂": "joy", "😢": "cry", "👏": "clap", "🚀": "rocket", "🔒": "lock", "❓": "question", "❗": "exclamation",
    "⏸": "double_vertical_bar", "🛑": "octagonal_sign", "💤": "zzz",
    "✍": "writing_hand", "🤖": "robot_face", "📎": "paperclip", "💬": "speech_balloon",
}  # fmt: skip


def short_name(mark: str) -> str:
    """The name of an emoji. Raises SendRefused for one that has none here."""
    try:
        return SHORT_NAMES[mark.replace("\ufe0f", "")]
    except KeyError:
        raise SendRefused("The platform takes reactions by name, and this one's name is not known.") from None
