// The guard's console: draws the state that the gate sends and hands the guard's actions back.
"use strict";
const $ = id => document.getElementById(id);
const number = n => n.toLocaleString("vi-VN");
const ready = { face: "ready", words: { vi: "Sẵn sàng", en: "Ready – show your code" } };

function el(tag, attributes, ...children) {
  const e = document.createElement(tag);
  for (const [k, v] of Object.entries(attributes || {})) k.startsWith("on") ? e.addEventListener(k.slice(2), v) : e.setAttribute(k, v);
  e.append(...children);
  return e;
}

async function act(action) {
  const r = await fetch("act", { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(action) });
  return r.ok ? "" : await r.text();
}

function age(iso) {
  const s = Math.max(0, (Date.now() - Date.parse(iso)) / 1000);
  if (s < 60) return Math.floor(s) + " s";
  if (s < 3600) return Math.floor(s / 60) + " min";
  return s < 172800 ? Math.floor(s / 3600) + " h" : Math.floor(s / 86400) + " d";
}

// drawFaces shows every verdict that stands, with its lane's name where there are several lanes.
function drawFaces(shown, several) {
  $("faces").replaceChildren(...shown.map(v => {
    const face = $("face").content.firstElementChild.cloneNode(true);
    face.dataset.face = v.face;
    for (const [part, text] of [["words", v.words.vi], ["english", v.words.en], ["who", v.who], ["where", several ? v.lane : ""]])
      face.querySelector("." + part).textContent = text || "";
    return face;
  }));
}

function drawLanes(lanes) {
  $("lanes").replaceChildren(...lanes.map(l => {
    const other = l.direction === "in" ? "out" : "in";
    return el("span", { class: "lane" }, l.name, el("button", { class: "quiet", title: "đổi chiều · turn", onclick: () => act({ turn: { lane: l.name, direction: other } }) },
      l.direction === "in" ? "→ vào · in" : "← ra · out"));
  }));
}

// peerRow says of another gate of the venue whether it is there. One that is away holds nobody up.
function peerRow(p, timeZone) {
  if (p.ok) return ["", `${p.name}: đã nối · reached`];
  if (!p.seen) return ["meh", `${p.name}: chưa thấy · not seen yet`, p.text];
  const at = new Date(p.seen).toLocaleTimeString("vi-VN", { timeZone, hour: "2-digit", minute: "2-digit" });
  return ["meh", `${p.name}: không thấy từ ${at} · not seen since ${at}`, p.text];
}

function drawHealth(s) {
  const rows = s.lanes.map(l => [l.ok ? "" : "bad", `${l.name}: ${l.text || "máy quét chạy · reading"}`]);
  rows.push([s.online ? "" : "meh", s.online ? "Máy chủ: đã nối · hub reached" : "Máy chủ: chưa nối · hub not reached", s.uplink]);
  if (s.progress) rows.push(["", `${s.progress.vi} · ${s.progress.en}`]);
  if (s.aside) rows.push(["meh", `Máy chủ không nhận ${number(s.aside)} mục · entries refused by the hub: ${s.aside}`]);
  rows.push([s.clock === "none" ? "bad" : s.clock === "seen" ? "meh" : "", `Đồng hồ · clock: ${s.clock}`]);
  for (const p of s.peers || []) rows.push(peerRow(p, s.zone));
  if (s.stick) rows.push(["", s.stick]);
  for (const f of s.faults || []) rows.push(["bad", f]);
  $("health").replaceChildren(...rows.map(([c, t, detail]) => el("li", { class: c, title: detail || "" }, t)));
}

const marks = { go: "✓", stop: "✕", ask: "!", broken: "△" };
function drawRecent(recent, timeZone) {
  $("recent").replaceChildren(...recent.map(r => el("li", { class: r.undone ? "undone" : "" },
    el("span", { class: "mark " + r.face, title: r.verdict }, marks[r.face] || ""),
    new Date(r.at).toLocaleTimeString("vi-VN", { timeZone }),
    el("span", {}, `${r.direction === "in" ? "→" : "←"} ${r.words.vi}`),
    r.verdict === "admit" && !r.undone ? el("button", { class: "quiet", onclick: () => act({ undo: { seq: r.seq } }) }, "Huỷ · undo") : "")));
}

function answerField(item) {
  if (item.type === "yes-no" || item.type === "choice") {
    const options = item.type === "choice" ? item.choices : [{ id: "no", text: { vi: "Không" } }, { id: "yes", text: { vi: "Có" } }];
    return el("span", { class: "choices" }, ...options.map(o =>
      el("label", {}, el("input", { type: "radio", name: item.id, value: o.id, required: "" }), o.text.vi)));
  }
  const type = { "days-since": "number", "valid-until": "date" }[item.type] || "text";
  return el("input", { type, name: item.id, required: "", min: "0" });
}

let asked = "";
function drawAsk(q) {
  $("ask").hidden = !q;
  if (!q || q.id === asked) return; // do not wipe what the guard is typing
  asked = q.id;
  $("ask").dataset.items = JSON.stringify(q.items);
  $("ask-title").textContent = q.title.vi;
  $("ask-who").textContent = q.who;
  $("ask-error").textContent = "";
  $("ask-items").replaceChildren(...q.items.map(i => el("fieldset", {}, el("legend", {}, el("span", {}, i.text.vi, el("small", {}, i.text.en))), answerField(i))));
}

function answers(form) {
  const given = new FormData(form), out = {};
  for (const i of JSON.parse(form.dataset.items)) {
    const v = given.get(i.id);
    out[i.id] = i.type === "yes-no" ? v === "yes" : i.type === "days-since" ? Number(v) : v;
  }
  return out;
}

$("ask").addEventListener("submit", async e => {
  e.preventDefault();
  $("ask-error").textContent = await act({ answer: { id: asked, answers: answers(e.target) } });
});
$("ask-leave").addEventListener("click", () => act({ leave: { id: asked } }));

function draw(s) {
  $("venue").textContent = s.venue;
  document.querySelector("aside").hidden = !!s.enrol; // a unit that is no gate yet shows nothing else
  const resting = s.lanes.some(l => l.ok) ? s.enrol || ready : { face: "broken", words: { vi: "Máy quét không chạy", en: "No scanner is working" } };
  drawFaces(s.shown.length ? s.shown : [resting], s.lanes.length > 1);
  drawLanes(s.enrol ? [] : s.lanes);
  $("saved").textContent = number(s.saved);
  $("unsent").textContent = number(s.unsent);
  $("oldest").textContent = s.oldest ? age(s.oldest) : "–";
  $("inside").textContent = s.stale ? `≈ ${number(s.inside)}` : number(s.inside);
  $("inside").title = s.stale ? `${s.stale} chưa thấy ra · never left` : "";
  drawHealth(s);
  drawRecent(s.recent, s.zone);
  drawAsk(s.ask);
}

const source = new EventSource("events");
source.onmessage = e => draw(JSON.parse(e.data));
source.onerror = () => drawFaces([{ face: "broken", words: { vi: "Mất kết nối với cổng", en: "The gate does not answer" } }]);
drawFaces([{ face: "ready", words: { vi: "Đang nối…", en: "Connecting…" } }]);
