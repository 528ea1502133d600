"use strict";
// Texts of documents only ever become text nodes: nothing in them is HTML.

const byId = (id) => document.getElementById(id);
const KEY = "longembed-key";
const SHOWN = 300; // Characters shown on each side of the best sentence.
let chosen = -1;
let asked = 0;

function made(tag, className, text) {
  const node = document.createElement(tag);
  if (className) node.className = className;
  if (text !== undefined) node.textContent = text;
  return node;
}

async function post(path, body) {
  const headers = { "content-type": "application/json" };
  const key = sessionStorage.getItem(KEY);
  if (key) headers.authorization = `Bearer ${key}`;
  const response = await fetch(path, { method: "POST", headers, body: JSON.stringify(body) });
  const answer = await response.json().catch(() => ({}));
  if (response.status === 401) {
    const given = window.prompt("The server's key:");
    if (given) {
      sessionStorage.setItem(KEY, given);
      return post(path, body);
    }
  }
  if (!response.ok) throw new Error(answer.error ? answer.error.message : `error ${response.status}`);
  return answer;
}

function percent(share) {
  return `${Math.round(100 * share)}%`;
}

function scoresOf(hit) {
  const parts = [
    ["found with", hit.scores.search],
    ["document", hit.scores.document_vector],
    ["best run", hit.scores.best_run],
    ["words", hit.scores.document_words],
    ["words of the best passage", hit.scores.best_passage_words],
    ["of the best run", hit.scores.best_run_words],
  ].filter(([, value]) => value !== null && value !== undefined);
  return [`score ${hit.score.toFixed(3)}`, ...parts.map(([n, v]) => `${n} ${v.toFixed(3)}`)].join(" · ");
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
  node.append(heading, made("p", "scores", scoresOf(hit)), barOf(hit));
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
  return node;
}

async function search(event) {
  event.preventDefault();
  const query = byId("query").value;
  const turn = ++asked;
  byId("message").textContent = "Searching …";
  try {
    const body = { query, k: 10, rerank: byId("rerank").checked };
    if (byId("mode").value) body.mode = byId("mode").value;
    const { hits } = await post("search", body);
    if (turn !== asked) return;
    byId("hits").replaceChildren(...hits.map(hitNode));
    const isAnswered = hits.some((hit) => hit.is_answer);
    const nearest = `Nothing here seems to answer that; these ${hits.length} are the nearest.`;
    byId("message").textContent = !hits.length
      ? "No document has that."
      : isAnswered ? `${hits.length} documents` : nearest;
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

byId("search").addEventListener("submit", search);
byId("close").addEventListener("click", () => byId("reader").close());
fetch("healthz")
  .then((response) => response.json())
  .then((about) => {
    byId("about").textContent = `${about.documents} documents · ${about.model}`;
    byId("rerank").disabled = !about.reranker;
  })
  .catch(() => {});
