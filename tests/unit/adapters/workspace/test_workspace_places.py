"""Places: the globs of the policy, and what they say of a file that no call wrote."""

from __future__ import annotations

import pytest
from hypothesis import given
from hypothesis import strategies as st

from carapax.adapters.workspace.places import Declared, compile_glob, declare, unwritten
from carapax.core.flow.lattice import join_all
from carapax.core.terms.label import OWNER_ONLY, Integrity, Label, Source
from carapax.core.terms.tables import Place


@pytest.mark.parametrize(
    ("glob", "inside", "outside"),
    [
        ("notes.md", ["notes.md"], ["notes_md", "a/notes.md", "notes.md/x", "NOTES.MD", "notes.md\n"]),
        ("*.md", ["a.md", ".md"], ["a/b.md", "a.mdx"]),
        ("notes/*", ["notes/a", "notes/.a"], ["notes", "notes/a/b", "xnotes/a"]),
        ("notes/**", ["notes/a", "notes/a/b", "notes/\n"], ["notes", "notes/", "note/a"]),
        ("**", ["a", "a/b/c"], [""]),
        ("**/secret", ["secret", "a/secret", "a/b/secret"], ["asecret", "secret/a"]),
        ("a/**/z", ["a/z", "a/b/z", "a/b/c/z"], ["az", "a/bz", "b/a/z"]),
        ("a/**/**/z", ["a/z", "a/b/c/z"], ["az"]),
        ("**.md", ["a.md"], ["a/b.md"]),
        ("?.txt", ["a.txt"], [".txt", "ab.txt", "/.txt"]),
        ("[ab].txt", ["a.txt", "b.txt"], ["c.txt", "ab.txt"]),
        ("[!ab].txt", ["c.txt"], ["a.txt", "/.txt"]),
        ("[a-c].txt", ["b.txt"], ["d.txt", "-.txt"]),
        ("[^a].txt", ["^.txt", "a.txt"], ["b.txt"]),
        ("[].txt", ["[].txt"], ["].txt"]),
        ("[a", ["[a"], ["a"]),
        ("[b-a]", ["[b-a]"], ["a", "b"]),
        ("(a|b)+$", ["(a|b)+$"], ["a", "aa"]),
        ("./notes/", ["notes"], ["notes/a"]),
        ("größe/*", ["größe/a"], ["grosse/a"]),
    ],
)
def test_a_glob_matches_the_whole_path(glob: str, inside: list[str], outside: list[str]) -> None:
    assert [p for p in inside if not compile_glob(glob).fullmatch(p)] == []
    assert [p for p in outside if compile_glob(glob).fullmatch(p)] == []


@given(st.text(alphabet="ab/*?[]!-^\\&~|.z(){}", max_size=12), st.text(alphabet="ab/.z", max_size=8))
def test_any_text_is_a_glob(glob: str, path: str) -> None:
    compile_glob(glob).fullmatch(path)


@given(st.lists(st.text(alphabet="ab.", min_size=1, max_size=3), min_size=1, max_size=4))
def test_every_path_matches_itself_and_all(names: list[str]) -> None:
    path = "/".join(names)
    assert compile_glob("**").fullmatch(path)
    assert compile_glob("/".join("*" for _ in names)).fullmatch(path)
    assert not compile_glob("/".join("*" for _ in [*names, ""])).fullmatch(path)


def label(declared: Declared, path: str) -> Label:
    return unwritten(*declared.of_path(path), [path])


def test_of_several_places_the_least_integrity_counts_and_every_class() -> None:
    declared = declare(
        (
            Place("**", Integrity.USER),
            Place("team/**", Integrity.PEER, "team"),
            Place("team/customers/**", Integrity.USER, "customer"),
            Place("in/**", Integrity.EXTERNAL),
            Place("a*", None, "letter"),
        )
    )
    named = Label(Integrity.USER, OWNER_ONLY, frozenset({Source("file", "a.txt")}), frozenset({"letter"}))
    assert label(declared, "a.txt") == named
    assert label(declared, "team/a").integrity is Integrity.PEER
    deep = label(declared, "team/customers/a")
    assert (deep.integrity, deep.classes) == (Integrity.PEER, frozenset({"team", "customer"}))
    assert label(declared, "in/a").integrity is Integrity.EXTERNAL
    assert declared.of_path("team/a") == (Integrity.PEER, frozenset({"team"}))
    assert label(declare(()), "a").integrity is Integrity.EXTERNAL
    assert label(declare((Place("a"),)), "b").integrity is Integrity.EXTERNAL


@given(st.lists(st.sampled_from([f"f{n:03}" for n in range(200)]), min_size=1, unique=True))
def test_many_files_alike_are_labelled_as_their_join(paths: list[str]) -> None:
    together = unwritten(Integrity.PEER, frozenset({"c"}), paths)
    assert together == join_all(unwritten(Integrity.PEER, frozenset({"c"}), [path]) for path in paths)
