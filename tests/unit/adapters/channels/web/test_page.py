"""The page in a real browser: what a person sees and presses, and that text stays text."""

from __future__ import annotations

import json

import pytest

from carapax.adapters.channels.catalogue import Opening, open_channel
from carapax.core.terms.channel import Button, Heard, Outgoing, Received
from tests.fakes.direct_egress import DirectEgress
from tests.fakes.looped import looped
from tests.fakes.platforms.serving import DictVault, Notes, ShiftedClock, until
from tests.fakes.platforms.web_chromium import Tab, chromium, find_chromium
from tests.fakes.platforms.web_served import ServedChat

NASTY = (
    "<img src=x onerror=\"document.title='owned'\"><script>document.title='owned'</script> "
    "[x](javascript:alert(1)) **<b>bold</b>** `<i>` https://elsewhere.example/p.png ![](http://elsewhere.example/x.png)"
)


async def _write(tab: Tab, words: str) -> None:
    await tab.run(f"text.value = {json.dumps(words)}; form.requestSubmit()")


async def _lines(tab: Tab) -> list[str]:
    return list(await tab.run("[...document.querySelectorAll('.body')].map((each) => each.textContent)"))


@pytest.mark.skipif(find_chromium() is None, reason="Chromium is not installed")
@looped
async def test_a_conversation_in_a_browser() -> None:
    heard: list[Received] = []

    async def hear(what: Heard) -> None:
        assert isinstance(what, Received)
        heard.append(what)

    notes, clock = Notes(), ShiftedClock()
    channel = open_channel("web", Opening("web", {}, {}, DirectEgress(DictVault()), notes, clock))
    served = ServedChat(channel, hear)
    await served.start()
    url = f"http://127.0.0.1:{served.port}/hooks/web"
    try:
        async with chromium() as tab:
            await tab.open(url)
            await tab.until("source && source.readyState === 1")
            await _write(tab, "Hello <b>you</b>")
            await until(lambda: bool(heard))
            assert heard[0].text == "Hello <b>you</b>"
            place = heard[0].place
            sent = await channel.send(Outgoing(place, "Grow", "k1"))
            await tab.until("document.querySelectorAll('article').length === 2")
            await channel.edit(place, sent.message, f"Grown. {NASTY}\n```py\nif a < b:\n    pass\n```\nDone.")
            await tab.until("document.body.textContent.includes('Grown.')")
            lines = await _lines(tab)
            assert lines[0] == "Hello <b>you</b>" and "<script>" in lines[1] and "    pass" in lines[1]
            assert (
                await tab.run(
                    "document.querySelectorAll('article img, article script, article a, article b:not(header b)').length"
                )
                == 0
            )
            assert await tab.run("document.querySelector('pre code').textContent") == "if a < b:\n    pass"
            assert await tab.run("document.querySelector('.body strong').textContent") == "<b>bold</b>"
            assert await tab.run("document.title") == "Carapax" and await tab.run("document.cookie") == ""
            # inline scripts are refused by the policy, even when a script could be put into the page
            await tab.run(
                "{const s = document.createElement('script'); try {s.textContent = 'document.title=1'; document.head.append(s)} catch {}}"
            )
            assert await tab.run("document.title") == "Carapax"
            await channel.send(Outgoing(place, "Allow?", "k2", buttons=(Button("Once", "yes:1"), Button("No", "no:1"))))
            await channel.typing(place)
            await tab.until("!document.getElementById('typing').hidden && document.querySelector('.choices button')")
            await tab.run("document.querySelector('.choices button').click()")
            await tab.until("document.querySelector('[aria-pressed=true]')")
            assert heard[-1].pressed == "yes:1"
            # the phone sleeps: the gateway restarts meanwhile, and the page comes back by itself
            before = served.port
            await channel.close()
            await served.stop()
            channel = served.channel = open_channel(
                "web", Opening("web", {}, {}, DirectEgress(DictVault()), notes, clock)
            )
            await channel.send(Outgoing(place, "While you slept.", "k3"))
            served.port = before
            await served.start()
            await tab.until("document.body.textContent.includes('While you slept.')", 25)
            assert len(await _lines(tab)) == 4
            await tab.open(url, width=390, height=844, language="fr")
            await tab.until(
                "document.documentElement.lang === 'fr' && document.querySelectorAll('article').length === 4"
            )
            assert await tab.run("document.documentElement.scrollWidth <= innerWidth")
            small = "[...document.querySelectorAll('button')].filter((b) => b.offsetParent && b.getBoundingClientRect().height < 44).length"
            assert await tab.run(small) == 0
            assert all(request.startswith(url) for request in tab.requests), tab.requests
    finally:
        await channel.close()
        await served.stop()
