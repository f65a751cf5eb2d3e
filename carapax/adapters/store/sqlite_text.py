"""Every table and statement as SQLite takes it. Written by `generate`; do not edit.

Layer: adapters/store. Source: `schema` and `statements`.
"""

# ruff: noqa: E501
# fmt: off
from __future__ import annotations

from carapax.adapters.store.prepared import Prepared

insert_session = Prepared('INSERT INTO sessions (id, name, name_folded, owner, conversation, created_ms, updated_ms, turns, parts, tokens, usd_micro, tool_calls, wall_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', ('id', 'name', 'name_folded', 'owner', 'conversation', 'created_ms', 'updated_ms', 'turns', 'parts', 'tokens', 'usd_micro', 'tool_calls', 'wall_ms'), {})
session_by_id = Prepared('SELECT sessions.id, sessions.name, sessions.owner, sessions.created_ms, sessions.updated_ms, sessions.turns, sessions.tokens, sessions.usd_micro, sessions.tool_calls, sessions.wall_ms FROM sessions WHERE sessions.id = ?', ('id',), {})
session_by_conversation = Prepared('SELECT sessions.id, sessions.name, sessions.owner, sessions.created_ms, sessions.updated_ms, sessions.turns, sessions.tokens, sessions.usd_micro, sessions.tool_calls, sessions.wall_ms FROM sessions WHERE sessions.owner = ? AND sessions.conversation = ?', ('owner', 'conversation'), {})
sessions_of_owner = Prepared('SELECT sessions.id, sessions.name, sessions.owner, sessions.created_ms, sessions.updated_ms, sessions.turns, sessions.tokens, sessions.usd_micro, sessions.tool_calls, sessions.wall_ms FROM sessions WHERE sessions.owner = ? ORDER BY sessions.updated_ms DESC, sessions."row" DESC LIMIT ? OFFSET ?', ('owner', 'limit', 'param_1'), {'param_1': 0})
session_places = Prepared('SELECT sessions.turns, sessions.parts FROM sessions WHERE sessions.id = ?', ('id',), {})
name_session = Prepared('UPDATE sessions SET name=?, name_folded=? WHERE sessions.id = ?', ('name', 'name_folded', 'id_'), {})
advance_session = Prepared('UPDATE sessions SET updated_ms=?, turns=?, parts=?, tokens=(sessions.tokens + ?), usd_micro=(sessions.usd_micro + ?), tool_calls=(sessions.tool_calls + ?), wall_ms=(sessions.wall_ms + ?) WHERE sessions.id = ?', ('updated_ms', 'turns', 'parts', 'more_tokens', 'more_usd_micro', 'more_tool_calls', 'more_wall_ms', 'id_'), {})
search_sessions = Prepared('SELECT sessions.id, sessions.name, sessions.owner, sessions.created_ms, sessions.updated_ms, sessions.turns, sessions.tokens, sessions.usd_micro, sessions.tool_calls, sessions.wall_ms FROM sessions WHERE sessions.owner = ? AND (lower(sessions.name_folded) LIKE lower(?) ESCAPE \'\\\' OR sessions.id IN (SELECT anon_1.session FROM (SELECT parts.session AS session, coalesce(parts.folded, parts.text) AS body FROM parts ORDER BY parts."row" DESC LIMIT ? OFFSET ?) AS anon_1 WHERE lower(anon_1.body) LIKE lower(?) ESCAPE \'\\\')) ORDER BY sessions.updated_ms DESC, sessions."row" DESC LIMIT ? OFFSET ?', ('owner', 'pattern', 'scanned', 'param_1', 'pattern', 'limit', 'param_2'), {'param_1': 0, 'param_2': 0})
insert_turn = Prepared('INSERT INTO turns (id, session, number, state, principal, channel, text, reply, started_ms, ended_ms, tokens, usd_micro, tool_calls, wall_ms, "key", undoable) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', ('id', 'session', 'number', 'state', 'principal', 'channel', 'text', 'reply', 'started_ms', 'ended_ms', 'tokens', 'usd_micro', 'tool_calls', 'wall_ms', 'key', 'undoable'), {})
turn_by_id = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.id = ?', ('id',), {})
turn_by_key = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.session = ? AND turns."key" = ?', ('session', 'key'), {})
turns_of_session = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.session = ? ORDER BY turns.number DESC LIMIT ? OFFSET ?', ('session', 'limit', 'param_1'), {'param_1': 0})
unfinished_turns = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.state IN (?, ?, ?) ORDER BY turns."row"', ('s0', 's1', 's2'), {})
unfinished_of_session = Prepared('SELECT turns."row" FROM turns WHERE turns.session = ? AND turns.state IN (?, ?, ?) LIMIT ? OFFSET ?', ('session', 's0', 's1', 's2', 'limit', 'param_1'), {'param_1': 0})
turn_standing = Prepared('SELECT turns.session, turns.number, turns.state, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms FROM turns WHERE turns.id = ?', ('id',), {})
move_turn = Prepared('UPDATE turns SET state=?, reply=coalesce(?, turns.reply), ended_ms=coalesce(?, turns.ended_ms), tokens=(turns.tokens + ?), usd_micro=(turns.usd_micro + ?), tool_calls=(turns.tool_calls + ?), wall_ms=(turns.wall_ms + ?) WHERE turns.id = ?', ('state', 'reply', 'ended_ms', 'more_tokens', 'more_usd_micro', 'more_tool_calls', 'more_wall_ms', 'id_'), {})
mark_turn = Prepared('UPDATE turns SET undoable=? WHERE turns.id = ?', ('undoable', 'id_'), {})
undoable_turns = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.undoable = 1 ORDER BY turns."row" DESC LIMIT ? OFFSET ?', ('limit', 'param_1'), {'param_1': 0})
undoable_of_session = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.undoable = 1 AND turns.session = ? ORDER BY turns."row" DESC LIMIT ? OFFSET ?', ('session', 'limit', 'param_1'), {'param_1': 0})
undoable_turn = Prepared('SELECT turns.id, turns.session, turns.number, turns.state, turns.principal, turns.channel, turns.text, turns.reply, turns.started_ms, turns.ended_ms, turns.tokens, turns.usd_micro, turns.tool_calls, turns.wall_ms, turns."key" FROM turns WHERE turns.undoable = 1 AND turns.id = ? ORDER BY turns."row" DESC LIMIT ? OFFSET ?', ('id', 'limit', 'param_1'), {'param_1': 0})
insert_part = Prepared('INSERT INTO parts (session, turn, seq, kind, text, folded, label, created_ms, tool, call) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', ('session', 'turn', 'seq', 'kind', 'text', 'folded', 'label', 'created_ms', 'tool', 'call'), {})
parts_before = Prepared('SELECT parts.session, parts.turn, parts.seq, parts.kind, parts.text, parts.label, parts.created_ms, parts.tool, parts.call FROM parts WHERE parts.session = ? AND parts.seq < ? ORDER BY parts.seq DESC LIMIT ? OFFSET ?', ('session', 'before', 'limit', 'param_1'), {'param_1': 0})
insert_call = Prepared('INSERT INTO calls (id, session, turn, tool, summary, entry, outcome, receipt_entry, changes) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)', ('id', 'session', 'turn', 'tool', 'summary', 'entry', 'outcome', 'receipt_entry', 'changes'), {})
call_standing = Prepared('SELECT calls.turn, calls.outcome FROM calls WHERE calls.id = ?', ('id',), {})
close_call = Prepared('UPDATE calls SET outcome=?, receipt_entry=?, changes=? WHERE calls.id = ?', ('outcome', 'receipt_entry', 'changes', 'id_'), {})
open_calls = Prepared('SELECT calls.id, calls.session, calls.turn, calls.tool, calls.summary, calls.entry FROM calls WHERE calls.outcome IS NULL ORDER BY calls."row"', (), {})
changes_of_turn = Prepared('SELECT calls.id, calls.changes FROM calls WHERE calls.turn = ? AND calls.changes IS NOT NULL ORDER BY calls."row"', ('turn',), {})
insert_approval = Prepared('INSERT INTO approvals (id, session, turn, call, digest, title, lines, rule, reason, taint, asked_ms, deadline_ms, state, answered_by, answered_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)', ('id', 'session', 'turn', 'call', 'digest', 'title', 'lines', 'rule', 'reason', 'taint', 'asked_ms', 'deadline_ms', 'state', 'answered_by', 'answered_ms'), {})
approval_by_id = Prepared('SELECT approvals.id, approvals.session, approvals.turn, approvals.call, approvals.digest, approvals.title, approvals.lines, approvals.rule, approvals.reason, approvals.taint, approvals.asked_ms, approvals.deadline_ms, approvals.state, approvals.answered_by, approvals.answered_ms FROM approvals WHERE approvals.id = ?', ('id',), {})
approvals_newest = Prepared('SELECT approvals.id, approvals.session, approvals.turn, approvals.call, approvals.digest, approvals.title, approvals.lines, approvals.rule, approvals.reason, approvals.taint, approvals.asked_ms, approvals.deadline_ms, approvals.state, approvals.answered_by, approvals.answered_ms FROM approvals ORDER BY approvals."row" DESC LIMIT ? OFFSET ?', ('limit', 'param_1'), {'param_1': 0})
approvals_in_state = Prepared('SELECT approvals.id, approvals.session, approvals.turn, approvals.call, approvals.digest, approvals.title, approvals.lines, approvals.rule, approvals.reason, approvals.taint, approvals.asked_ms, approvals.deadline_ms, approvals.state, approvals.answered_by, approvals.answered_ms FROM approvals WHERE approvals.state = ? ORDER BY approvals."row" DESC LIMIT ? OFFSET ?', ('state', 'limit', 'param_1'), {'param_1': 0})
answer_approval = Prepared('UPDATE approvals SET state=?, answered_by=?, answered_ms=? WHERE approvals.id = ?', ('state', 'answered_by', 'answered_ms', 'id_'), {})
insert_token = Prepared('INSERT INTO tokens (id, hash, name, scopes, created_ms, expires_ms, revoked, last_used_ms) VALUES (?, ?, ?, ?, ?, ?, ?, ?)', ('id', 'hash', 'name', 'scopes', 'created_ms', 'expires_ms', 'revoked', 'last_used_ms'), {})
token_by_hash = Prepared('SELECT tokens.id, tokens.hash, tokens.name, tokens.scopes, tokens.created_ms, tokens.expires_ms, tokens.revoked, tokens.last_used_ms FROM tokens WHERE tokens.hash = ?', ('hash',), {})
all_tokens = Prepared('SELECT tokens.id, tokens.hash, tokens.name, tokens.scopes, tokens.created_ms, tokens.expires_ms, tokens.revoked, tokens.last_used_ms FROM tokens ORDER BY tokens."row"', (), {})
revoke_token = Prepared('UPDATE tokens SET revoked=1 WHERE tokens.id = ?', ('id_',), {})
touch_token = Prepared('UPDATE tokens SET last_used_ms=? WHERE tokens.id = ?', ('last_used_ms', 'id_'), {})
day_usage = Prepared('SELECT days.tokens, days.usd_micro, days.tool_calls, days.wall_ms FROM days WHERE days.day = ?', ('day',), {})
grow_day = Prepared('UPDATE days SET tokens=(days.tokens + ?), usd_micro=(days.usd_micro + ?), tool_calls=(days.tool_calls + ?), wall_ms=(days.wall_ms + ?) WHERE days.day = ?', ('more_tokens', 'more_usd_micro', 'more_tool_calls', 'more_wall_ms', 'day_'), {})
insert_day = Prepared('INSERT INTO days (day, tokens, usd_micro, tool_calls, wall_ms) VALUES (?, ?, ?, ?, ?)', ('day', 'tokens', 'usd_micro', 'tool_calls', 'wall_ms'), {})
counter = Prepared('SELECT counters.count FROM counters WHERE counters.name = ?', ('name',), {})
add_to_counter = Prepared('UPDATE counters SET count=(counters.count + ?) WHERE counters.name = ?', ('more', 'name_'), {})
insert_counter = Prepared('INSERT INTO counters (name, count) VALUES (?, ?)', ('name', 'count'), {})
count_waiting = Prepared('SELECT count(*) AS count_1 FROM approvals WHERE approvals.state = ?', ('state',), {})
count_tokens = Prepared('SELECT count(*) AS count_1 FROM tokens', (), {})
delete_session = Prepared('DELETE FROM sessions WHERE sessions.id = ?', ('id',), {})
_child_0 = Prepared('DELETE FROM approvals WHERE approvals.session = ?', ('session',), {})
_child_1 = Prepared('DELETE FROM calls WHERE calls.session = ?', ('session',), {})
_child_2 = Prepared('DELETE FROM parts WHERE parts.session = ?', ('session',), {})
_child_3 = Prepared('DELETE FROM turns WHERE turns.session = ?', ('session',), {})
delete_children = (_child_0, _child_1, _child_2, _child_3)
create_all = (
    'CREATE TABLE counters ( name TEXT NOT NULL, count BIGINT NOT NULL, CONSTRAINT pk_counters PRIMARY KEY (name) )',
    'CREATE TABLE days ( day TEXT NOT NULL, tokens BIGINT NOT NULL, usd_micro BIGINT NOT NULL, tool_calls BIGINT NOT NULL, wall_ms BIGINT NOT NULL, CONSTRAINT pk_days PRIMARY KEY (day) )',
    'CREATE TABLE sessions ( "row" INTEGER NOT NULL, id TEXT NOT NULL, name TEXT NOT NULL, name_folded TEXT NOT NULL, owner TEXT NOT NULL, conversation TEXT, created_ms BIGINT NOT NULL, updated_ms BIGINT NOT NULL, turns BIGINT NOT NULL, parts BIGINT NOT NULL, tokens BIGINT NOT NULL, usd_micro BIGINT NOT NULL, tool_calls BIGINT NOT NULL, wall_ms BIGINT NOT NULL, CONSTRAINT pk_sessions PRIMARY KEY ("row"), CONSTRAINT uq_sessions_id UNIQUE (id), CONSTRAINT uq_sessions_owner_conversation UNIQUE (owner, conversation) )',
    'CREATE TABLE tokens ( "row" INTEGER NOT NULL, id TEXT NOT NULL, hash TEXT NOT NULL, name TEXT NOT NULL, scopes TEXT NOT NULL, created_ms BIGINT NOT NULL, expires_ms BIGINT NOT NULL, revoked BOOLEAN NOT NULL, last_used_ms BIGINT, CONSTRAINT pk_tokens PRIMARY KEY ("row"), CONSTRAINT uq_tokens_id UNIQUE (id), CONSTRAINT uq_tokens_hash UNIQUE (hash) )',
    'CREATE TABLE approvals ( "row" INTEGER NOT NULL, id TEXT NOT NULL, session TEXT NOT NULL, turn TEXT NOT NULL, call TEXT NOT NULL, digest TEXT NOT NULL, title TEXT NOT NULL, lines TEXT NOT NULL, rule TEXT NOT NULL, reason TEXT NOT NULL, taint TEXT NOT NULL, asked_ms BIGINT NOT NULL, deadline_ms BIGINT NOT NULL, state TEXT NOT NULL, answered_by TEXT, answered_ms BIGINT, CONSTRAINT pk_approvals PRIMARY KEY ("row"), CONSTRAINT uq_approvals_id UNIQUE (id), CONSTRAINT fk_approvals_session FOREIGN KEY(session) REFERENCES sessions (id) )',
    'CREATE TABLE calls ( "row" INTEGER NOT NULL, id TEXT NOT NULL, session TEXT NOT NULL, turn TEXT NOT NULL, tool TEXT NOT NULL, summary TEXT NOT NULL, entry BIGINT NOT NULL, outcome TEXT, receipt_entry BIGINT, changes TEXT, CONSTRAINT pk_calls PRIMARY KEY ("row"), CONSTRAINT uq_calls_id UNIQUE (id), CONSTRAINT fk_calls_session FOREIGN KEY(session) REFERENCES sessions (id) )',
    'CREATE TABLE parts ( "row" INTEGER NOT NULL, session TEXT NOT NULL, turn TEXT NOT NULL, seq BIGINT NOT NULL, kind TEXT NOT NULL, text TEXT NOT NULL, folded TEXT, label TEXT NOT NULL, created_ms BIGINT NOT NULL, tool TEXT NOT NULL, call TEXT, CONSTRAINT pk_parts PRIMARY KEY ("row"), CONSTRAINT uq_parts_session_seq UNIQUE (session, seq), CONSTRAINT fk_parts_session FOREIGN KEY(session) REFERENCES sessions (id) )',
    'CREATE TABLE turns ( "row" INTEGER NOT NULL, id TEXT NOT NULL, session TEXT NOT NULL, number BIGINT NOT NULL, state TEXT NOT NULL, principal TEXT NOT NULL, channel TEXT NOT NULL, text TEXT NOT NULL, reply TEXT NOT NULL, started_ms BIGINT NOT NULL, ended_ms BIGINT, tokens BIGINT NOT NULL, usd_micro BIGINT NOT NULL, tool_calls BIGINT NOT NULL, wall_ms BIGINT NOT NULL, "key" TEXT, undoable BOOLEAN NOT NULL, CONSTRAINT pk_turns PRIMARY KEY ("row"), CONSTRAINT uq_turns_id UNIQUE (id), CONSTRAINT uq_turns_session_number UNIQUE (session, number), CONSTRAINT uq_turns_session_key UNIQUE (session, "key"), CONSTRAINT fk_turns_session FOREIGN KEY(session) REFERENCES sessions (id) )',
    'CREATE INDEX ix_sessions_owner_updated_ms_row ON sessions (owner, updated_ms, "row")',
    'CREATE INDEX ix_approvals_session ON approvals (session)',
    'CREATE INDEX ix_approvals_state_row ON approvals (state, "row")',
    'CREATE INDEX ix_calls_open ON calls ("row") WHERE outcome IS NULL',
    'CREATE INDEX ix_calls_session ON calls (session)',
    'CREATE INDEX ix_calls_turn ON calls (turn)',
    'CREATE INDEX ix_turns_state_row ON turns (state, "row")',
    'CREATE INDEX ix_turns_undoable ON turns ("row") WHERE undoable = 1',
    'CREATE INDEX ix_turns_undoable_session ON turns (session, "row") WHERE undoable = 1',
)
