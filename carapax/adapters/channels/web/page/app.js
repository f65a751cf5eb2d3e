// The page of the web chat: shows lines as they come, sends what is written. Text only ever becomes text nodes.
"use strict";

const say = document.body.dataset;
const here = document.currentScript.src;  // everything else lies beside it
const at = (id) => document.getElementById(id);
const log = at("log"), form = at("form"), text = at("text"), notice = at("notice"), pick = at("pick");
const shown = new Map();  // id of a line → its element
const MOST_BYTES = 10 * 1024 * 1024;
let chosen = [];  // files to send
let draft = null;  // what is being sent: a second try has the same id
let low = true;  // the newest line is in sight, and stays there
let source = null, wait = 1000, timer = 0;

function fresh() {
  const bytes = crypto.getRandomValues(new Uint8Array(24));
  return btoa(String.fromCharCode(...bytes)).replaceAll("+", "-").replaceAll("/", "_");
}

function tell(words) {
  notice.textContent = words;
  notice.hidden = !words;
}

function make(tag, className, words) {
  const made = document.createElement(tag);
  if (className) made.className = className;
  if (words !== undefined) made.textContent = words;
  return made;
}

// A little of Markdown: fenced blocks, `code` and **strong**. Everything else stays as it was written.
function render(into, words) {
  into.replaceChildren();
  const parts = words.split(/^```[^\n]*\n([\s\S]*?)(?:^```[ \t]*$\n?|(?![\s\S]))/m);
  parts.forEach((part, index) => {
    if (index % 2) {
      const block = make("pre");
      block.append(make("code", "", part.replace(/\n$/, "")));
      into.append(block);
    } else {
      const plain = index ? part.replace(/^\n/, "") : part;
      for (const piece of plain.split(/(`[^`\n]+`|\*\*[^*\n]+\*\*)/)) {
        if (/^`[^`]+`$/.test(piece)) into.append(make("code", "", piece.slice(1, -1)));
        else if (/^\*\*[^*]+\*\*$/.test(piece)) into.append(make("strong", "", piece.slice(2, -2)));
        else if (piece) into.append(piece);
      }
    }
  });
}

function down() {
  log.scrollTop = log.scrollHeight;
}

function clock(ms) {
  const when = new Date(ms);
  const today = when.toDateString() === new Date().toDateString();
  const day = today ? {} : { day: "numeric", month: "short" };
  return when.toLocaleString(document.documentElement.lang, { ...day, hour: "2-digit", minute: "2-digit" });
}

function show(line) {
  let element = shown.get(line.id);
  if (!element) {
    element = make("article", line.mine ? "mine" : "");
    const head = make("header");
    head.append(make("b", "", line.mine ? say.you : say.agent), make("time", "", clock(line.at)));
    element.append(head, make("div", "body"));
    shown.set(line.id, element);
    log.append(element);
    at("empty").hidden = true;
  }
  const body = element.querySelector(".body");
  if (line.mine) body.textContent = line.text;
  else render(body, line.text);
  body.hidden = !line.text;
  element.querySelectorAll(".names, .choices").forEach((old) => old.remove());
  if (line.files.length) {
    const names = make("ul", "names");
    line.files.forEach((name) => names.append(make("li", "", name)));
    element.append(names);
  }
  if (line.buttons.length) element.append(choices(line));
  if (low || line.mine) down();
}

function choices(line) {
  const row = make("div", "choices");
  for (const [label, data] of line.buttons) {
    const button = make("button", "", label);
    button.type = "button";
    button.addEventListener("click", async () => {
      row.querySelectorAll("button").forEach((each) => { each.disabled = true; });
      const answer = await post("send", { id: fresh(), press: data, message: line.id });
      if (answer.ok) {
        button.setAttribute("aria-pressed", "true");
        button.textContent = `${label} · ${say.chosen}`;
      } else {
        row.querySelectorAll("button").forEach((each) => { each.disabled = false; });
        tell(answer.status === 429 ? say.slow : say.offline);
      }
    });
    row.append(button);
  }
  return row;
}

async function post(where, given) {
  try {
    const headers = { "content-type": "application/json" };
    return await fetch(new URL(where, here), { method: "POST", headers, body: JSON.stringify(given), cache: "no-store" });
  } catch {
    return { ok: false, status: 0 };
  }
}

async function put(file) {
  try {
    const headers = { "content-type": "application/octet-stream", "x-file-type": file.type };
    const answer = await fetch(new URL(`file?name=${encodeURIComponent(file.name)}`, here), { method: "POST", headers, body: file });
    return answer.ok ? (await answer.json()).ref : "";
  } catch {
    return "";
  }
}

async function send() {
  if (!draft) draft = { id: fresh(), text: text.value, files: [], waiting: chosen };
  if (draft.text !== text.value || draft.waiting !== chosen) draft = { id: fresh(), text: text.value, files: [], waiting: chosen };
  if (!draft.text.trim() && !chosen.length) return;
  at("send").disabled = true;
  let ok = true, status = 0;
  for (const file of draft.waiting.slice(draft.files.length)) {
    const ref = await put(file);
    if (!ref) { ok = false; break; }
    draft.files.push(ref);
  }
  if (ok) {
    const answer = await post("send", { id: draft.id, text: draft.text, files: draft.files });
    ok = answer.ok;
    status = answer.status;
    if (status === 401 && await hello()) open();
  }
  at("send").disabled = false;
  if (ok) {
    draft = null;
    chosen = [];
    text.value = "";
    tell("");
  } else tell(status === 429 ? say.slow : say.unsent);
  list();
  grow();
}

function list() {
  const files = at("files");
  files.replaceChildren();
  files.hidden = !chosen.length;
  for (const file of chosen) {
    const row = make("li");
    const drop = make("button", "", "×");
    drop.type = "button";
    drop.setAttribute("aria-label", `${say.remove} ${file.name}`);
    drop.addEventListener("click", () => { chosen = chosen.filter((each) => each !== file); list(); });
    row.append(make("span", "", file.name), drop);
    files.append(row);
  }
}

function grow() {
  text.style.height = "auto";
  text.style.height = `${text.scrollHeight + 2}px`;
}

async function hello() {
  return (await post("hello", {})).ok;
}

function open() {
  if (source) source.close();
  source = new EventSource(new URL("events", here));
  source.addEventListener("open", () => { wait = 1000; tell(""); });
  source.addEventListener("line", (event) => show(JSON.parse(event.data)));
  source.addEventListener("typing", (event) => { at("typing").hidden = !JSON.parse(event.data); });
  source.addEventListener("error", () => {
    at("typing").hidden = true;
    if (source.readyState !== EventSource.CLOSED) return;  // the browser tries again by itself
    tell(say.offline);
    again();
  });
}

function again() {
  clearTimeout(timer);
  timer = setTimeout(async () => {
    if (await hello()) open();
    else again();
  }, wait);
  wait = Math.min(wait * 2, 60000);
}

log.addEventListener("scroll", () => { low = log.scrollHeight - log.scrollTop - log.clientHeight < 80; }, { passive: true });
new ResizeObserver(() => { if (low) down(); }).observe(log);
form.addEventListener("submit", (event) => { event.preventDefault(); send(); });
text.addEventListener("input", grow);
text.addEventListener("keydown", (event) => {
  const coarse = matchMedia("(pointer: coarse)").matches;
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing && !coarse) {
    event.preventDefault();
    if (!at("send").disabled) send();
  }
});
at("attach").addEventListener("click", () => pick.click());
pick.addEventListener("change", () => {
  const found = [...pick.files];
  const fitting = found.filter((file) => file.size <= MOST_BYTES);
  tell(fitting.length < found.length ? say.large : "");
  chosen = [...chosen, ...fitting].slice(0, 10);
  pick.value = "";
  list();
});
addEventListener("online", () => { wait = 1000; again(); });

(async () => {
  text.focus({ preventScroll: true });
  if (await hello()) open();
  else { tell(say.offline); again(); }
})();
