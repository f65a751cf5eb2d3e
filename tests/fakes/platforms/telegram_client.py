"""python-telegram-bot on the local Bot API: run by the peers' interpreter, so that a foreign client judges the stand-in.

`python telegram_client.py URL TOKEN CHAT FILE_ID`; prints what it found as JSON.
"""

from __future__ import annotations

import asyncio
import json
import sys

from telegram import Bot, InlineKeyboardButton, InlineKeyboardMarkup, ReactionTypeEmoji
from telegram.error import BadRequest, Forbidden, InvalidToken, RetryAfter


async def main(url: str, token: str, chat: int, file: str) -> dict[str, object]:
    found: dict[str, object] = {}
    async with Bot(token, base_url=f"{url}/bot", base_file_url=f"{url}/file/bot") as bot:
        found["me"] = (await bot.get_me()).username
        updates = await bot.get_updates(timeout=1)
        found["updates"] = [
            [u.update_id, u.effective_user.id if u.effective_user else 0, u.message.text if u.message else ""]
            for u in updates
        ]
        keys = InlineKeyboardMarkup([[InlineKeyboardButton("Allow", callback_data="a:1")]])
        sent = await bot.send_message(chat, "<b>bold</b> &amp; plain", parse_mode="HTML", reply_markup=keys)
        found["sent"] = [sent.message_id, sent.text]
        edited = await bot.edit_message_text("other", chat_id=chat, message_id=sent.message_id)
        found["edited"] = getattr(edited, "text", "")
        found["reacted"] = await bot.set_message_reaction(chat, sent.message_id, ReactionTypeEmoji("👍"))
        found["typing"] = await bot.send_chat_action(chat, "typing")
        document = await bot.send_document(chat, b"bytes", filename="a.txt", caption="see")
        found["document"] = document.document.file_name if document.document else ""
        found["file"] = bytes(await (await bot.get_file(file)).download_as_bytearray()).hex()
        refusals = []
        for text, to in (("<b>open", chat), ("x" * 4097, chat), ("x", 5), ("x", 1002), ("slow", chat)):
            try:
                await bot.send_message(to, text, parse_mode="HTML")
            except (BadRequest, Forbidden, RetryAfter) as error:
                refusals.append(f"{type(error).__name__}: {error}")
        found["refusals"] = refusals
    try:
        async with Bot("1:wrong", base_url=f"{url}/bot") as bot:
            await bot.get_me()
    except InvalidToken as error:
        found["token"] = type(error).__name__
    return found


if __name__ == "__main__":
    print(json.dumps(asyncio.run(main(sys.argv[1], sys.argv[2], int(sys.argv[3]), sys.argv[4]))))
