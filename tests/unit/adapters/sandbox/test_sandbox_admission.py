"""Admission: one use of a sealed call, whichever tier asks, and the variables of a way."""

from __future__ import annotations

import dataclasses

import pytest

from carapax.adapters.sandbox.admission import Admission
from carapax.adapters.sandbox.way import CA_INSIDE, WAY_URL, way_variables
from carapax.core.terms.egress import Way
from carapax.core.terms.error import AuthorityInvalid
from carapax.core.terms.ids import CallId
from carapax.ports.sandbox import Job, Mount
from tests.attacks.sealing import KEY, MANIFEST, WallClock, mint

JOB = Job(("true",))


def test_a_call_is_admitted_once_whoever_asks() -> None:
    admission = Admission(KEY, WallClock())
    sealed = mint()
    assert admission.admit(sealed, JOB).call == sealed.call
    with pytest.raises(AuthorityInvalid, match="already used"):
        admission.admit(sealed, dataclasses.replace(JOB, mount=Mount.NONE))


def test_a_bad_or_late_seal_is_refused_and_uses_nothing() -> None:
    admission = Admission(KEY, WallClock())
    for bad in (mint(key=b"x" * 32, call="one"), mint(deadline_ms=0, call="one")):
        with pytest.raises(AuthorityInvalid):
            admission.admit(bad, JOB)
    admission.admit(mint(call="one"), JOB)


def test_writing_wants_a_manifest_that_says_so() -> None:
    quiet = dataclasses.replace(MANIFEST, touches_workspace=False)
    admission = Admission(KEY, WallClock())
    with pytest.raises(AuthorityInvalid, match="does not declare"):
        admission.admit(mint(manifest=quiet), dataclasses.replace(JOB, mount=Mount.WRITE))
    admission.admit(mint(manifest=quiet), JOB)


def test_a_way_of_another_call_is_refused() -> None:
    admission = Admission(KEY, WallClock())
    sealed = mint(call="mine")
    with pytest.raises(AuthorityInvalid, match="another call"):
        admission.admit(sealed, dataclasses.replace(JOB, way=Way(CallId("other"), "token")))
    admission.admit(sealed, dataclasses.replace(JOB, way=Way(CallId("mine"), "token")))


def test_the_past_is_forgotten_only_long_after_its_deadline(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("carapax.adapters.sandbox.admission._MANY_USED", 3)
    admission = Admission(KEY, WallClock())
    sealed = [mint() for _ in range(6)]
    for one in sealed:
        admission.admit(one, JOB)
    for one in sealed:
        with pytest.raises(AuthorityInvalid, match="already used"):
            admission.admit(one, JOB)


def test_a_way_is_told_to_usual_programs_and_none_is_told_without() -> None:
    assert way_variables(None) == ()
    told = dict(way_variables(Way(CallId("c"), "token-never-shown", b"PEM", (("h", "placeholder"),))))
    assert {told[name] for name in ("HTTPS_PROXY", "https_proxy", "HTTP_PROXY", "http_proxy", "ALL_PROXY")} == {WAY_URL}
    assert told["NO_PROXY"] == ""
    assert told["SSL_CERT_FILE"] == told["GIT_SSL_CAINFO"] == told["PIP_CERT"] == CA_INSIDE
    assert "token-never-shown" not in repr(told)
    assert "SSL_CERT_FILE" not in dict(way_variables(Way(CallId("c"), "t")))
