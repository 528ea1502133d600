"use strict";
// Texts of documents only ever become text nodes: nothing in them is HTML.

const byId = (id) => document.getElementById(id);
const KEY = "longembed-key";
const SHOWN = 300; // Characters shown on each side of the best sentence.
let chosen = -1;
let asked = 0;
let servesFiles = false;

function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

async function request(path, options) {
  const key = sessionStorage.getItem(KEY);
  const headers = key ? { ...options.headers, authorization: `Bearer ${key}` } : options.headers;
  const response = await fetch(path, { ...options, headers });
  if (response.status === 401) {
    const given = window.prompt("The server's key:");
    if (given) {
      sessionStorage.setItem(KEY, given);
      return request(path, options);
    }
  }
  if (!response.ok) {
    const answer = await response.json().catch(() => ({}));
    throw new Error(answer.error ? answer.error.message : `error ${response.status}`);
  }
  return response;
}

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  return (await request(path, { method: "POST", headers, body: JSON.stringify(body) })).json();
}

function percent(share) {
  return `${Math.round(100 * share)}%`;
}

function scoresOf(hit) {
  const parts = [
    ["reranker", hit.scores.reranker],
    ["search", hit.scores.search],
    ["words: document", hit.scores.document_words],
    ["best passage", hit.scores.best_passage_words],
    ["best run", hit.scores.best_run_words],
    ["vectors: document", hit.scores.document_vector],
    ["best run", hit.scores.best_run],
  ].filter(([, value]) => value !== null && value !== undefined);
  const node = made("details", "scores");
  node.append(made("summary", "", `score ${hit.score.toFixed(3)}`));
  node.append(parts.map(([name, value]) => `${name} ${value.toFixed(3)}`).join(" · "));
  return node;
}

// Of a file, its name; ids of other documents are shown as they are.
function fileName(source) {
  return source.split(/[\\/]/).pop() || source;
}

function fileNode(hit) {
  const name = fileName(hit.source);
  const page = hit.passages.length ? hit.passages[0].page : null;
  const label = page ? `${name}, page ${page}` : name;
  const node = made("p", "file");
  node.title = hit.source;
  if (!servesFiles || !/^(\/|\\\\|[A-Za-z]:)/.test(hit.source)) {
    node.append(label);
    return node;
  }
  const link = made("a", "", label);
  const place = page && /\.pdf$/i.test(name) ? `#page=${page}` : "";
  link.href = `file?source=${encodeURIComponent(hit.source)}${place}`;
  link.target = "_blank";
  link.rel = "noopener";
  link.addEventListener("click", (event) => openWithKey(event, link.href, place));
  node.append(link);
  return node;
}

// A link cannot bring the key, so the file is fetched with it.
async function openWithKey(event, address, place) {
  if (!sessionStorage.getItem(KEY)) return;
  event.preventDefault();
  const tab = window.open("");
  try {
    const content = await (await request(address, {})).blob();
    tab.location = URL.createObjectURL(content) + place;
  } catch (error) {
    tab.close();
    byId("message").textContent = error.message;
  }
}

// Offsets count code points, and strings here are UTF-16.
function places(text) {
  if (!/[\ud800-\udbff]/.test(text)) return (n) => n;
  const starts = [];
  let index = 0;
  for (const character of text) {
    starts.push(index);
    index += character.length;
  }
  starts.push(index);
  return (n) => starts[Math.min(n, starts.length - 1)];
}

function shortened(text, start, end) {
  let from = Math.max(0, start - SHOWN);
  let to = Math.min(text.length, end + SHOWN);
  while (from > 0 && !/\s/.test(text[from - 1])) from -= 1;
  while (to < text.length && !/\s/.test(text[to])) to += 1;
  return [from, to];
}

function passageNode(passage) {
  const node = made("p", "passage-text");
  const at = places(passage.text);
  const [start, end] = passage.sentence
    ? passage.sentence.map((place) => at(place - passage.start))
    : [0, 0];
  const [from, to] = shortened(passage.text, start, end);
  if (from > 0) node.append("… ");
  node.append(passage.text.slice(from, start));
  if (end > start) node.append(made("mark", "", passage.text.slice(start, end)));
  node.append(passage.text.slice(end, to));
  if (to < passage.text.length) node.append(" …");
  return node;
}

function barOf(hit) {
  const bar = made("div", "where");
  bar.setAttribute("role", "img");
  const shares = (hit.passages || []).map((p) => percent(p.share)).join(", ");
  const read = hit.tokens ? hit.read / hit.tokens : 1;
  bar.setAttribute("aria-label", `passages at ${shares || "no place"}; ${percent(read)} was read`);
  const all = made("div", "read");
  all.style.width = percent(read);
  bar.append(all);
  for (const passage of hit.passages || []) {
    const mark = made("div", "passage");
    mark.style.left = `${(100 * passage.start) / Math.max(1, hit.characters)}%`;
    mark.style.width = `${(100 * (passage.end - passage.start)) / Math.max(1, hit.characters)}%`;
    bar.append(mark);
  }
  return bar;
}

function hitNode(hit) {
  const node = made("li", "hit");
  const heading = made("h2");
  const title = made("button", "title", `${hit.rank}. ${hit.title}`);
  title.type = "button";
  title.addEventListener("click", () => read(hit));
  heading.append(title);
  if (hit.is_answer === false) node.classList.add("unsure");
  node.append(heading, fileNode(hit), barOf(hit));
  if (hit.copies.length) node.append(made("p", "place", `the same text: ${hit.copies.join(", ")}`));
  for (const passage of hit.passages || []) {
    const place = [`at ${percent(passage.share)} of the document`];
    if (passage.page) place.push(`page ${passage.page}`);
    if (passage.heading) place.push(`under “${passage.heading}”`);
    node.append(made("p", "place", place.join(", ")), passageNode(passage));
  }
  if (hit.tokens && hit.read < hit.tokens) {
    node.append(made("p", "place", `${hit.read} of ${hit.tokens} tokens were read`));
  }
  node.append(scoresOf(hit));
  return node;
}

const SIGNS = { "<": "lt", "<=": "lte", ">": "gt", ">=": "gte", "!=": "ne" };

// "year>=2019, title=*.pdf" as the filter that the server takes.
function filterOf(text) {
  const where = {};
  for (const condition of text.split(",").filter((part) => part.trim())) {
    const parts = /^([^=<>!]+)(<=|>=|!=|=|<|>)(.*)$/.exec(condition);
    if (!parts) throw new Error(`“${condition.trim()}” is not a filter; write year>=2019 or title=*.pdf`);
    const [key, sign, value] = parts.slice(1).map((part) => part.trim());
    if (sign === "=") {
      where[key] = value;
    } else {
      const isNumber = sign !== "!=" && value !== "" && Number.isFinite(Number(value));
      where[key] = { ...where[key], [SIGNS[sign]]: isNumber ? Number(value) : value };
    }
  }
  return where;
}

// The question stands in the address, so that it can be bookmarked, sent and gone back to.
const FIELDS = { q: "query", mode: "mode", where: "where" };

function toAddress() {
  const asked = new URLSearchParams();
  for (const [name, id] of Object.entries(FIELDS)) {
    if (byId(id).value) asked.set(name, byId(id).value);
  }
  if (byId("rerank").checked) asked.set("careful", "1");
  const address = `?${asked}`;
  if (address !== window.location.search) window.history.pushState(null, "", address);
}

function fromAddress() {
  const asked = new URLSearchParams(window.location.search);
  for (const [name, id] of Object.entries(FIELDS)) byId(id).value = asked.get(name) || "";
  byId("rerank").checked = asked.has("careful");
  byId("hits").replaceChildren();
  byId("message").textContent = "";
  if (byId("query").value) search();
}

async function search() {
  const query = byId("query").value;
  const turn = ++asked;
  byId("message").textContent = "Searching …";
  try {
    const body = { query, k: 10, rerank: byId("rerank").checked, where: filterOf(byId("where").value) };
    if (byId("mode").value) body.mode = byId("mode").value;
    const { hits } = await post("search", body);
    if (turn !== asked) return;
    byId("hits").replaceChildren(...hits.map(hitNode));
    const isAnswered = hits.some((hit) => hit.is_answer);
    const count = hits.length === 1 ? "1 document" : `${hits.length} documents`;
    byId("message").textContent = !hits.length
      ? "No document has that."
      : isAnswered ? count : `Nothing fits well. The nearest: ${count}.`;
    chosen = -1;
  } catch (error) {
    if (turn === asked) byId("message").textContent = error.message;
  }
}

async function read(hit) {
  const reader = byId("reader");
  const text = byId("text");
  byId("reader-title").textContent = hit.title;
  text.textContent = "Loading …";
  if (!reader.open) reader.showModal();
  try {
    const whole = (await post("document", { source: hit.source })).text;
    const at = places(whole);
    text.replaceChildren();
    let done = 0;
    const passages = [...(hit.passages || [])].sort((a, b) => a.start - b.start);
    for (const passage of passages) {
      const [start, end] = [at(passage.start), at(passage.end)];
      text.append(whole.slice(done, start));
      const span = made("span", "span");
      const [first, last] = (passage.sentence || [passage.start, passage.start]).map(at);
      span.append(whole.slice(start, first), made("mark", "", whole.slice(first, last)));
      span.append(whole.slice(last, end));
      text.append(span);
      done = Math.max(done, end);
    }
    text.append(whole.slice(done));
    const best = text.querySelector("mark") || text.querySelector(".span");
    if (best) best.scrollIntoView({ block: "center" });
    text.focus({ preventScroll: true });
  } catch (error) {
    text.textContent = error.message;
  }
}

function choose(step) {
  const titles = [...document.querySelectorAll(".title")];
  if (!titles.length) return;
  chosen = Math.max(0, Math.min(titles.length - 1, chosen + step));
  titles[chosen].focus();
  titles[chosen].scrollIntoView({ block: "nearest" });
}

document.addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || byId("reader").open) return;
  const typing = document.activeElement === byId("query");
  if (event.key === "Escape" && typing) byId("query").blur();
  if (typing) return;
  if (event.key === "/") {
    event.preventDefault();
    byId("query").focus();
  }
  if (event.key === "j") choose(1);
  if (event.key === "k") choose(-1);
});

byId("search").addEventListener("submit", (event) => {
  event.preventDefault();
  toAddress();
  search();
});
window.addEventListener("popstate", fromAddress);
byId("close").addEventListener("click", () => byId("reader").close());
fetch("healthz")
  .then((response) => response.json())
  .then((about) => {
    byId("about").textContent = `${about.documents} documents · ${about.model}`;
    byId("careful").hidden = !about.reranker;
    servesFiles = Boolean(about.files);
  })
  .catch(() => {})
  .finally(fromAddress);
