"""Mails as bytes: who wrote them, what they say, what vouches for them, and that nothing else is ever raised."""

from __future__ import annotations

import re
from contextlib import suppress
from email import message_from_bytes
from email.policy import default
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from carapax.adapters.channels.mail import wire
from carapax.adapters.channels.mail.address import judge_evidence, parse_address, parse_sender
from carapax.adapters.channels.mail.html import html_to_text
from carapax.adapters.channels.mail.quotes import split_quoted
from carapax.core.terms.channel import Evidence, OutFile, Outgoing, Place
from carapax.core.terms.error import Malformed, TooLarge

VECTORS = Path(wire.__file__).parent / "vectors"
OWN = "agent@example.test"
SERVER = "mx.example.test"


def read(raw: bytes, authserv: str = SERVER) -> wire.Mailed:
    return wire.parse_mail(raw, channel="mail", own=OWN, authserv=authserv, ref="7.3")


def vector(name: str) -> wire.Mailed:
    return read((VECTORS / f"{name}.eml").read_bytes())


def simple(**fields: str) -> bytes:
    given = {"From": "lea@example.net", "Subject": "Hi", "Message-ID": "<m@example.net>"} | {
        name.replace("_", "-"): value for name, value in fields.items()
    }
    return "".join(f"{name}: {value}\r\n" for name, value in given.items() if value).encode() + b"\r\nHello.\r\n"


def evidence_of(*results: str, sender: str = "lea@example.net", server: str = SERVER) -> Evidence:
    return judge_evidence([("Authentication-Results", result) for result in results], sender, server)


# the vectors


def test_a_reply_is_read_with_its_thread_and_its_evidence() -> None:
    found = vector("reply_with_quote")
    assert found.received.sender.id == "anna.lindqvist@example.net"
    assert found.received.sender.name == "Anna Lindqvist Å"
    assert found.received.text == "Please ask for the price without scaffolding. Grüße, Anna"
    assert found.received.quoted.startswith("On Mon, 1 Jun 2026") and "> Shall I accept it?" in found.received.quoted
    assert found.received.place == Place("mail", "anna.lindqvist@example.net", thread="<root-1@example.net>")
    assert (found.received.message, found.received.reply_to) == ("<CAF-77@mail.example.net>", "<a1b2@example.test>")
    assert found.received.evidence is Evidence.ALIGNED and not found.ignored
    assert found.received.sent_ms == 1_780_384_442_000


def test_an_outlook_reply_ends_where_its_history_begins() -> None:
    found = vector("outlook_reply").received
    assert found.text == "Looks good to me."
    assert "Here are the minutes." in found.quoted and found.evidence is Evidence.NONE
    assert found.sender.name == "Novak, Petr"


def test_html_alone_becomes_text() -> None:
    text = vector("html_only").received.text
    assert "Thank you & welcome, Lea ." in text or "Thank you & welcome, Lea." in text
    assert "this page (https://store.example/o/5512)" in text
    assert "alert" not in text and "color" not in text and "javascript" not in text


def test_files_are_listed_and_found_again() -> None:
    found = vector("with_files").received
    assert [(file.name, file.type, file.voice) for file in found.files] == [
        ("_.._invoice.pdf", "application/pdf", False),
        ("mémo.mp3", "audio/mpeg", True),
        ("other.eml", "message/rfc822", False),
    ]
    assert found.text == "The invoice\n\nAttached."
    message = wire.parse_message((VECTORS / "with_files.eml").read_bytes())
    contents = [wire.find_file(message, int(file.ref.rpartition(".")[2])) for file in found.files]
    assert contents[:2] == [b"%PDF-1.4\n", b"ID3"] and b"Words of somebody else." in contents[2]
    assert found.files[0].size_bytes == 9
    with pytest.raises(Malformed):
        wire.find_file(message, 99)


def test_what_is_forwarded_is_others_words() -> None:
    found = vector("forwarded").received
    assert found.text == "Fwd: Trip\n\nWhat does this say?"
    assert "Wire the deposit today." in found.quoted and "deposit" not in found.text


@pytest.mark.parametrize(
    ("name", "why"), [("delivery_notice", "notice"), ("vacation", "machine"), ("list_mail", "list")]
)
def test_what_a_machine_wrote_is_ignored(name: str, why: str) -> None:
    assert why in vector(name).ignored


def test_a_spoofed_name_changes_nothing() -> None:
    found = vector("spoofed_name").received
    assert found.sender.id == "x@evil.example" and found.sender.name == "owner@example.net"
    assert found.evidence is Evidence.ALIGNED  # for evil.example, which is nobody here


def test_two_senders_are_nobody() -> None:
    with pytest.raises(Malformed):
        vector("two_from")


def test_every_vector_is_read_or_refused() -> None:
    paths = sorted(VECTORS.glob("*.eml"))
    assert len(paths) >= 10
    for path in paths:
        try:
            read(path.read_bytes())
        except Malformed:
            assert path.stem == "two_from"


# From


@pytest.mark.parametrize(
    ("value", "address", "name"),
    [
        ("lea@example.net", "lea@example.net", ""),
        ("<Lea@Example.NET>", "lea@example.net", ""),
        ("Lea M <lea@example.net>", "lea@example.net", "Lea M"),
        ('"Lea \\"M\\"" <lea@example.net>', "lea@example.net", 'Lea "M"'),
        ('"owner@x.example" <lea@example.net>', "lea@example.net", "owner@x.example"),
        ('"owner@x.example, b" <lea@example.net>', "lea@example.net", "owner@x.example, b"),
        ("lea@example.net (Lea <a@b.example>)", "lea@example.net", ""),
        ("=?utf-8?b?TMOpYQ==?= <lea@example.net>", "lea@example.net", "Léa"),
        ("=?utf-8?q?owner=40x.example=0D=0ABcc=3A?= <lea@example.net>", "lea@example.net", "owner@x.exampleBcc:"),
    ],
)
def test_from_names_one_address(value: str, address: str, name: str) -> None:
    person = parse_sender([("From", value)])
    assert (person.id, person.name) == (address, name)


@pytest.mark.parametrize(
    "value",
    [
        "",
        "lea",
        "lea@localhost",
        "a@x.example, b@y.example",
        "<a@x.example> <b@y.example>",
        "a@x.example <b@y.example>",
        "friends: a@x.example, b@y.example;",
        "friends:;",
        "<a@x.example",
        "a@x.example>",
        '"open <a@x.example>',
        "(open a@x.example",
        "a@x.example)",
        '"a b"@x.example',
        "a@x.example b",
        "a@xn_.example",
        "<a@x.example>, b",
        "=?utf-8?q?a=40x=2Eexample?=",
        "ä@x.example",
        "a@[127.0.0.1]",
        "@route.example:a@x.example",
        "a@" + "x" * 300 + ".example",
    ],
)
def test_from_that_is_not_one_plain_address_is_nobody(value: str) -> None:
    with pytest.raises(Malformed):
        parse_sender([("From", value)])


def test_no_from_and_two_are_nobody() -> None:
    with pytest.raises(Malformed):
        parse_sender([("Subject", "x")])
    with pytest.raises(Malformed):
        parse_sender([("From", "a@x.example"), ("FROM", "a@x.example")])


# evidence


@pytest.mark.parametrize(
    "result",
    [
        "dkim=pass header.d=example.net",
        "dkim=pass header.i=@example.net header.s=k1",
        "spf=pass smtp.mailfrom=bounce@example.net",
        "dkim=fail header.d=example.net; spf=pass smtp.mailfrom=lea@EXAMPLE.net",
        "dkim=pass header.d=other.example; dkim=pass header.d=Example.Net; dmarc=pass header.from=example.net",
        "arc=pass; dkim=pass header.d=example.net",
    ],
)
def test_a_pass_for_the_from_domain_is_evidence(result: str) -> None:
    assert evidence_of(f"{SERVER}; {result}") is Evidence.ALIGNED


@pytest.mark.parametrize(
    "result",
    [
        "none",
        "dkim=pass",
        "dkim=fail header.d=example.net",
        "dkim=pass header.d=net",
        "dkim=pass header.d=evil-example.net",
        "dkim=pass header.d=sub.example.net",
        "dkim=pass header.d=example.net.evil.example",
        "dkim=pass header.d=evil.example header.i=@example.net",
        "dkim=neutral header.d=example.net",
        "spf=pass smtp.mailfrom=lea@evil.example",
        "spf=pass smtp.helo=example.net",
        "spf=softfail smtp.mailfrom=lea@example.net",
        "arc=pass",
        "dmarc=pass header.from=example.net",
        "dkim=pass header.d=example.net; dmarc=fail header.from=example.net",
        "dkim=pass header.d=example.net; dmarc=pass header.from=evil.example",
        "auth=pass smtp.auth=lea@example.net",
        "dkim=pass (header.d=example.net)",
        'dkim=pass reason="header.d=example.net"',
        "=;;;=",
        "dkim=pass header.d",
    ],
)
def test_anything_else_is_no_evidence(result: str) -> None:
    assert evidence_of(f"{SERVER}; {result}") is Evidence.NONE


def test_only_the_topmost_line_of_the_own_server_is_believed() -> None:
    good, bad = "dkim=pass header.d=example.net", "dkim=fail header.d=example.net"
    assert evidence_of(f"{SERVER}; {bad}", f"{SERVER}; {good}") is Evidence.NONE
    assert evidence_of(f"{SERVER}; {good}", f"{SERVER}; {bad}") is Evidence.ALIGNED
    assert evidence_of("mx.evil.example; " + good) is Evidence.NONE
    assert evidence_of(f"{SERVER}.evil.example; {good}") is Evidence.NONE
    assert evidence_of(f"evil {SERVER}; {good}") is Evidence.NONE
    assert evidence_of(f"mx.evil.example; {good}", f"{SERVER}; {good}") is Evidence.ALIGNED
    assert evidence_of(f"({SERVER}) mx.evil.example; {good}") is Evidence.NONE


def test_without_a_server_nothing_vouches() -> None:
    assert evidence_of("; dkim=pass header.d=example.net", server="") is Evidence.NONE
    assert (
        read(simple(Authentication_Results="x; dkim=pass header.d=example.net"), "").received.evidence is Evidence.NONE
    )


# loops


@pytest.mark.parametrize(
    "fields",
    [
        {"From": OWN},
        {"From": "AGENT@example.test"},
        {"Return_Path": "<>"},
        {"Auto_Submitted": "auto-generated"},
        {"Auto_Submitted": "Auto-Replied"},
        {"Precedence": "Bulk"},
        {"Precedence": "junk"},
        {"List_Unsubscribe": "<mailto:x@example.net>"},
        {"From": "MAILER-DAEMON@example.net"},
        {"From": "postmaster@example.net"},
        {"Content_Type": "multipart/report; boundary=x"},
    ],
)
def test_no_machine_is_answered(fields: dict[str, str]) -> None:
    assert read(simple(**fields)).ignored


def test_what_a_person_wrote_is_answered() -> None:
    assert not read(simple()).ignored
    assert not read(simple(Auto_Submitted="no", Return_Path="<lea@example.net>", Precedence="normal")).ignored


def test_our_own_answer_would_be_ignored_by_ourselves() -> None:
    _, raw = wire.render_mail(outgoing("x"), own="other@example.test", subject="s", now_ms=0)
    assert read(raw).ignored


# bounds


def test_bombs_are_refused() -> None:
    with pytest.raises(Malformed, match="inside"):  # before any parsing, which is where they cost
        read(b"From: lea@example.net\r\n\r\n" + b"boundary=x " * 30)
    nested = b"".join(b'Content-Type: multipart/mixed; boundary="%d"\r\n\r\n--%d\r\n' % (n, n) for n in range(60))
    with pytest.raises(Malformed):
        read(b"From: lea@example.net\r\n" + nested)
    many = b"--b\r\nContent-Type: text/plain\r\n\r\nx\r\n" * 200
    with pytest.raises(Malformed):
        read(b"From: lea@example.net\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n" + many + b"--b--\r\n")
    with pytest.raises(Malformed):
        read(b"From: lea@example.net\r\n" + b"X: y\r\n" * 600 + b"\r\nx")
    with pytest.raises(TooLarge):
        read(b"From: lea@example.net\r\n\r\n" + bytes(wire.MAIL_BYTES))


def test_long_text_is_cut_and_made_plain() -> None:
    found = read(simple(Subject="") + b"a\x00b\x1b[0m" + "é".encode() * 400_000)
    assert len(found.received.text.encode()) <= 256 << 10
    assert "\x00" not in found.received.text and "\x1b" not in found.received.text


def test_the_event_is_of_the_header_alone_and_stays() -> None:
    assert read(simple()).received.event == read(simple()).received.event
    assert read(simple()).received.event != read(simple(Message_ID="<n@example.net>")).received.event


def test_a_broken_charset_and_a_broken_encoding_are_read_anyway() -> None:
    head = "From: lea@example.net\r\nReferences: <r@example.net>\r\nContent-Type: text/plain; charset={}\r\n{}\r\n"
    assert read(head.format("no-such", "").encode() + b"gr\xc3\xbcn").received.text == "grün"
    broken = head.format("utf-8", "Content-Transfer-Encoding: base64\r\n").encode() + b"a"
    assert isinstance(read(broken).received.text, str)


@settings(max_examples=200, deadline=None)
@given(st.binary(max_size=600))
def test_any_bytes_are_a_mail_or_malformed(raw: bytes) -> None:
    for prefix in (
        b"",
        b"From: lea@example.net\r\n",
        b"From: lea@example.net\r\nContent-Type: multipart/mixed; boundary=b\r\n\r\n--b\r\n",
    ):
        with suppress(Malformed):
            read(prefix + raw)


_TOKENS = st.sampled_from(
    ["From: ", "a@x.example", "\r\n", "\n", " ", "Content-Type: ", "multipart/mixed", "; boundary=", "b", "--b", "--b--", '"',
     "=?utf-8?q?=ff?=", "=?x?b?!?=", "(", ")", "<", ">", "Authentication-Results: mx.example.test; ", "dkim=", "pass", " header.d=",
     "Content-Transfer-Encoding: base64", "uuencode", "charset*=utf-8''%ff", "message/rfc822", "message/delivery-status",
     "Content-Disposition: attachment; filename*0*=x", "Date: ", "Thu, 99 Foo 99999 99:99:99 +9999", "\xff", "\x00"]
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(_TOKENS, max_size=40).map("".join))
def test_any_likely_mail_is_read_or_malformed(text: str) -> None:
    for prefix in ("", "From: lea@example.net\r\n"):
        with suppress(Malformed):
            read((prefix + text).encode("utf-8"))


@settings(max_examples=200, deadline=None)
@given(st.text(max_size=200), st.text(max_size=80))
def test_any_result_line_is_judged(value: str, sender: str) -> None:
    assert evidence_of(value, f"{SERVER}; {value}", sender=sender) in Evidence


# HTML and quotations


@settings(max_examples=200, deadline=None)
@given(st.lists(st.sampled_from(["<", ">", "<!--", "-->", "<p>", "</p>", "<script>", "</script", "a", "&amp;", "&#x0;", '<a href="http://x.example">',
                                 "</a>", "<![CDATA[", "<?", "\n", "<blockquote>", "<title>"]), max_size=60).map("".join))  # fmt: skip
def test_any_html_becomes_text(html: str) -> None:
    assert "<script" not in html_to_text(html)


def test_html_takes_linear_time() -> None:
    # Quadratic readers need minutes for these; the suite's time limit would tell.
    for piece in ("<!--", "<a ", "<script>", "<", "&", "<p", "</"):
        html_to_text(piece * 200_000)


def test_a_quotation_in_html_is_marked() -> None:
    assert html_to_text("Yes<blockquote>No<br>Never</blockquote>Bye") == "Yes\n> No\n> Never\nBye"


def test_quotations_are_set_apart() -> None:
    assert split_quoted("Yes.\n\nLe 3 mai 2026, Lea a écrit :\n> Oui ?\n> Non ?\nAt the end.") == (
        "Yes.\n\nAt the end.",
        "Le 3 mai 2026, Lea a écrit :\n> Oui ?\n> Non ?",
    )
    assert split_quoted("> first?\nyes\n> second?\nno") == ("yes\nno", "> first?\n> second?")
    assert split_quoted("On Monday I wrote a letter.\nIt was long.") == (
        "On Monday I wrote a letter.\nIt was long.",
        "",
    )
    assert split_quoted("ok\n-----Original Message-----\nrest") == ("ok", "-----Original Message-----\nrest")
    assert split_quoted("From: a machine\nnothing else") == ("From: a machine\nnothing else", "")


@settings(max_examples=100, deadline=None)
@given(
    st.lists(
        st.sampled_from(["> a", "b", "", "On Mon x wrote:", "--", "From: x", "Sent: y", "--- Forwarded message ---"]),
        max_size=12,
    )
)
def test_no_line_is_lost(lines: list[str]) -> None:
    own, quoted = split_quoted("\n".join(lines))
    assert sorted(line for line in f"{own}\n{quoted}".split("\n") if line.strip()) == sorted(
        line for line in lines if line.strip()
    )


# what is sent


def outgoing(text: str, **more: object) -> Outgoing:
    return Outgoing(Place("mail", "lea@example.net", thread="<root@example.net>"), text, "key-1", **more)  # type: ignore[arg-type]


def test_an_answer_stands_in_its_thread() -> None:
    number, raw = wire.render_mail(
        outgoing("Hä\n.\nend", reply_to="<m@example.net>"), own=OWN, subject="Röof", now_ms=0
    )
    mail = message_from_bytes(raw, policy=default)
    assert (mail["from"], mail["to"], mail["subject"]) == (OWN, "lea@example.net", "Re: Röof")
    assert (mail["in-reply-to"], mail["references"]) == ("<m@example.net>", "<root@example.net> <m@example.net>")
    assert mail["message-id"] == number == wire.message_id("key-1", OWN)
    assert mail["auto-submitted"] == "auto-replied" and mail.get_content_type() == "text/plain"
    assert mail.get_content().replace("\r\n", "\n") == "Hä\n.\nend\n"
    assert max(map(len, raw.split(b"\r\n"))) <= 998


@pytest.mark.parametrize(
    "nasty", ["a\r\nBcc: x@evil.example", "a\nBcc: x@evil.example", "a\u2028Bcc: x", "a\x00\x0bBcc: x"]
)
def test_no_value_ends_a_header_line(nasty: str) -> None:
    out = outgoing(nasty, reply_to=f"<{nasty}>", files=(OutFile(nasty, f"text/{nasty}", b"x"),))
    _, raw = wire.render_mail(out, own=OWN, subject=nasty, now_ms=0)
    mail = message_from_bytes(raw, policy=default)
    assert mail["bcc"] is None and mail["references"] == "<root@example.net>"
    for part in mail.walk():
        assert part["bcc"] is None
    assert not re.search(rb"(?im)^bcc:", raw.partition(b"\r\n\r\n")[0])


def test_files_are_bytes_to_a_reader() -> None:
    files = (
        OutFile("a/b.html", "text/html", b"<p>"),
        OutFile("p.png", "image/png", b"\x89PNG"),
        OutFile("", "no type", b"z"),
    )
    _, raw = wire.render_mail(outgoing("x", files=files), own=OWN, subject="", now_ms=0)
    found = list(message_from_bytes(raw, policy=default).iter_attachments())
    assert [(part.get_filename(), part.get_content_type(), part.get_content()) for part in found] == [
        ("a_b.html", "application/octet-stream", b"<p>"),
        ("p.png", "image/png", b"\x89PNG"),
        ("file", "application/octet-stream", b"z"),
    ]


@settings(max_examples=60, deadline=None)
@given(st.text(max_size=300), st.text(max_size=80))
def test_what_is_sent_is_read_again(text: str, subject: str) -> None:
    _, raw = wire.render_mail(outgoing(text), own="other@example.test", subject=subject, now_ms=1_000)
    found = read(raw)
    assert found.received.sender.id == "other@example.test"
    assert found.received.place.thread == "<root@example.net>"


def test_a_plain_address_is_lower_case_and_nothing_else() -> None:
    assert parse_address("Lea+Roof@Example.net") == "lea+roof@example.net"
    for bad in ("", "a@b", "a b@x.example", "a@x.example\n", "<a@x.example>", "a@-x.example", "a@x..example"):
        with pytest.raises(Malformed):
            parse_address(bad)
