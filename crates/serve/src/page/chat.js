// The chat page. What a model says is only ever put into text nodes.
"use strict";

const byId = (id) => document.getElementById(id);
const [log, input, error, settings] = ["log", "input", "error", "settings"].map(byId);
const sliders = ["temperature", "top_p"];

/** Messages of the conversation, each with its element. */
const turns = [];
let model = null;
/** The request under way, if any. */
let running = null;

function remember(key, value) {
  // A browser may refuse to keep anything; the page works without.
  try { localStorage.setItem(key, value); } catch { /* not kept */ }
}
function recall(key) {
  try { return localStorage.getItem(key); } catch { return null; }
}

function complain(message) {
  error.textContent = message;
  error.hidden = !message;
}

/** What the server would be asked for now. */
function request(messages) {
  const system = byId("system").value.trim();
  const body = {
    model: model ? model.id : "",
    messages: (system ? [{ role: "system", content: system }] : []).concat(messages),
    temperature: Number(byId("temperature").value),
    top_p: Number(byId("top_p").value),
    stream: true,
    stream_options: { include_usage: true },
  };
  const most = parseInt(byId("max_tokens").value, 10);
  if (most > 0) body.max_tokens = most;
  const seed = parseInt(byId("seed").value, 10);
  if (Number.isSafeInteger(seed)) body.seed = seed;
  return body;
}

const said = () => turns.map(({ role, content }) => ({ role, content }));

function addTurn(role, content) {
  byId("empty").hidden = true;
  const element = byId("turn").content.firstElementChild.cloneNode(true);
  element.classList.add(role);
  element.querySelector(".who").textContent = role === "user" ? "You" : "Model";
  const turn = { role, content, element };
  turns.push(turn);
  show(turn);
  element.querySelector(".copy").addEventListener("click", (event) => copy(turn.content, event.currentTarget));
  log.append(element);
  log.scrollTop = log.scrollHeight;
  return turn;
}

function show(turn) {
  turn.element.querySelector(".text").textContent = turn.content;
}

/** Under an answer: seconds to its first token, tokens a second after it, tokens. */
function facts(turn, { start, first, last, tokens, ending }) {
  const known = [];
  if (first !== null) known.push(`first token ${((first - start) / 1000).toFixed(2)} s`);
  if (tokens > 1 && last > first) known.push(`${((tokens - 1) / ((last - first) / 1000)).toFixed(1)} tokens/s`);
  if (tokens) known.push(`${tokens} tokens`);
  if (ending) known.push(ending);
  turn.element.querySelector(".facts").textContent = known.join(" · ");
}

async function copy(text, button) {
  button.dataset.label ??= button.textContent;
  try {
    await navigator.clipboard.writeText(text);
    button.textContent = "Copied";
  } catch {
    button.textContent = "Copying is not allowed here";
  }
  setTimeout(() => { button.textContent = button.dataset.label; }, 1500);
}

/** The data of server-sent events, one after the other. */
async function* events(body) {
  const reader = body.pipeThrough(new TextDecoderStream()).getReader();
  let rest = "";
  for (;;) {
    const { value, done } = await reader.read();
    if (done) return;
    const frames = (rest + value).split("\n\n");
    rest = frames.pop();
    for (const frame of frames) {
      const lines = frame.split("\n").filter((line) => line.startsWith("data:"));
      if (lines.length) yield lines.map((line) => line.slice(5).trimStart()).join("\n");
    }
  }
}

async function failure(response) {
  const text = await response.text();
  try { return JSON.parse(text).error.message; } catch { return `${response.status} ${text}`; }
}

function dropTurn() {
  const turn = turns.pop();
  turn.element.remove();
  return turn;
}

/** Lets the model answer what was said. */
async function answer() {
  complain("");
  const body = request(said());
  const turn = addTurn("assistant", "");
  turn.element.classList.add("busy");
  running = new AbortController();
  update();
  // Until usage says better, every piece of text counts as a token.
  const time = { start: performance.now(), first: null, last: null, tokens: 0, ending: "" };
  let usage = null, reason = null;
  try {
    const response = await fetch("v1/chat/completions", {
      method: "POST",
      headers: { "Content-Type": "application/json" },
      body: JSON.stringify(body),
      signal: running.signal,
    });
    if (!response.ok) throw new Error(await failure(response));
    for await (const data of events(response.body)) {
      if (data === "[DONE]") break;
      const chunk = JSON.parse(data);
      if (chunk.error) throw new Error(chunk.error.message);
      if (chunk.usage) usage = chunk.usage;
      const choice = chunk.choices[0];
      if (!choice) continue;
      if (choice.finish_reason) reason = choice.finish_reason;
      if (choice.delta.content) {
        time.last = performance.now();
        time.first ??= time.last;
        time.tokens += 1;
        facts(turn, time);
        const atEnd = log.scrollHeight - log.scrollTop - log.clientHeight < 60;
        turn.content += choice.delta.content;
        show(turn);
        if (atEnd) log.scrollTop = log.scrollHeight;
      }
    }
  } catch (problem) {
    if (problem.name === "AbortError") reason = "stopped";
    else complain(problem.message);
  }
  if (usage) time.tokens = usage.completion_tokens;
  time.ending = { length: "cut at the limit", stopped: "stopped" }[reason] ?? "";
  facts(turn, time);
  turn.element.classList.remove("busy");
  if (!turn.content && reason === null && turns.at(-1) === turn) {
    // It was refused: the message goes back to where it can be changed.
    dropTurn();
    if (!input.value) input.value = dropTurn().content;
    byId("empty").hidden = turns.length > 0;
  }
  if (usage) count(usage.total_tokens);
  running = null;
  update();
  input.focus();
}

function count(tokens) {
  const limit = model && model.max_model_len ? ` of ${model.max_model_len}` : "";
  byId("count").textContent = tokens === null ? "" : `${tokens}${limit} tokens`;
}

function send() {
  const text = input.value.trim();
  if (!text || running) return;
  addTurn("user", text);
  input.value = "";
  answer();
}

function again() {
  if (running) return;
  if (turns.at(-1)?.role === "assistant") dropTurn();
  if (turns.length) answer();
}

function restart() {
  if (running) running.abort();
  while (turns.length) dropTurn();
  byId("empty").hidden = false;
  complain("");
  count(null);
  update();
  input.focus();
}

function update() {
  byId("stop").hidden = !running;
  byId("send").hidden = Boolean(running);
  byId("again").disabled = Boolean(running) || turns.length === 0;
  log.setAttribute("aria-busy", String(Boolean(running)));
}

/** The request as a command for a POSIX shell. */
function curl() {
  const text = input.value.trim();
  const messages = said().concat(text ? [{ role: "user", content: text }] : []);
  const body = JSON.stringify(request(messages), null, 2).replaceAll("'", "'\\''");
  const url = new URL("v1/chat/completions", location.href);
  return `curl -N '${url}' -H 'Content-Type: application/json' -d '${body}'`;
}

function setTheme(theme) {
  if (theme) document.documentElement.dataset.theme = theme;
}

async function connect() {
  try {
    const response = await fetch("v1/models");
    if (!response.ok) throw new Error(await failure(response));
    model = (await response.json()).data[0];
    byId("model").textContent = model.id;
    document.title = `${model.id} · Moeworks chat`;
  } catch (problem) {
    complain(`The server does not answer: ${problem.message}`);
  }
}

for (const id of sliders) {
  const slider = byId(id);
  const output = document.querySelector(`output[for="${id}"]`);
  const print = () => { output.textContent = Number(slider.value).toFixed(2); };
  slider.addEventListener("input", print);
  print();
}
for (const id of ["system", "temperature", "top_p", "max_tokens", "seed"]) {
  const field = byId(id);
  const kept = recall(`moeworks.${id}`);
  if (kept !== null) {
    field.value = kept;
    field.dispatchEvent(new Event("input"));
  }
  field.addEventListener("change", () => remember(`moeworks.${id}`, field.value));
}
setTheme(recall("moeworks.theme"));

byId("composer").addEventListener("submit", (event) => { event.preventDefault(); send(); });
input.addEventListener("keydown", (event) => {
  if (event.key === "Enter" && !event.shiftKey && !event.isComposing) {
    event.preventDefault();
    send();
  }
});
byId("stop").addEventListener("click", () => running && running.abort());
byId("again").addEventListener("click", again);
byId("new").addEventListener("click", restart);
byId("curl").addEventListener("click", (event) => copy(curl(), event.currentTarget));
byId("theme").addEventListener("click", () => {
  const dark = getComputedStyle(document.documentElement).colorScheme === "dark"
    || (!document.documentElement.dataset.theme && matchMedia("(prefers-color-scheme: dark)").matches);
  const theme = dark ? "light" : "dark";
  setTheme(theme);
  remember("moeworks.theme", theme);
});
byId("toggle").addEventListener("click", () => {
  const open = settings.classList.toggle("open");
  byId("toggle").setAttribute("aria-expanded", String(open));
});
document.addEventListener("keydown", (event) => {
  if (event.key === "Escape" && running) running.abort();
  if (event.key === "n" && event.altKey) { event.preventDefault(); restart(); }
});
connect();
