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
      l.direction === "in" ? "→ vào · in" : "← ra · out"), l.turns ? el("small", {}, l.turns) : "");
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
  if (s.update) rows.push(["", `${s.update.vi} · ${s.update.en}`]);
  if (s.aside) rows.push(["meh", `Máy chủ không nhận ${number(s.aside)} mục · entries refused by the hub: ${s.aside}`]);
  rows.push([s.clock === "none" ? "bad" : s.clock === "seen" ? "meh" : "", `Đồng hồ · clock: ${s.clock}`]);
  for (const p of s.peers || []) rows.push(peerRow(p, s.zone));
  if (s.stick) rows.push(["", s.stick]);
  for (const f of s.faults || []) rows.push(["bad", f]);
  $("health").replaceChildren(...rows.map(([c, t, detail]) => el("li", { class: c, title: detail || "" }, t)));
}

// act hands an action over and says in the dialog or form that asked for it why it was not done.
async function tell(where, action, done) {
  const wrong = await act(action);
  where.querySelector("[role=alert]").textContent = wrong;
  if (!wrong && done) done();
}

const marks = { go: "✓", stop: "✕", ask: "!", broken: "△" };
function drawRecent(recent, timeZone) {
  $("recent").replaceChildren(...recent.map(r => el("li", { class: r.undone ? "undone" : "" },
    el("span", { class: "mark " + r.face, title: r.verdict }, marks[r.face] || ""),
    new Date(r.at).toLocaleTimeString("vi-VN", { timeZone }),
    el("span", {}, `${r.direction === "in" ? "→" : "←"} ${r.words.vi}`),
    r.verdict === "admit" && !r.undone ? el("button", { class: "quiet", "data-seq": r.seq, onclick: () => askWhy(r.seq) }, "Huỷ · undo") : "")));
}

const reasons = [["left", "Không đi qua", "did not go through"], ["wrong-way", "Sai chiều", "wrong direction"], ["wrong-card", "Thẻ của người khác", "another's card"], ["test", "Thử máy", "a test"]];
function askWhy(seq) {
  $("undo").querySelector("[role=alert]").textContent = "";
  $("undo-why").replaceChildren(...reasons.map(([why, vi, en]) =>
    el("button", { type: "button", "data-why": why, onclick: () => tell($("undo"), { undo: { seq, why } }, () => $("undo").close()) }, vi, el("small", {}, en))));
  $("undo").showModal();
}

function drawShift(s, timeZone) {
  const at = new Date(s.since).toLocaleTimeString("vi-VN", { timeZone, hour: "2-digit", minute: "2-digit" });
  $("shift").replaceChildren(`Ca ${s.guard || "chưa nhận"} từ ${at}: vào ${number(s.in)}, ra ${number(s.out)}, không cho vào ${number(s.refused)}, hỏi ${number(s.looked)}, huỷ ${number(s.undone)}`,
    el("small", {}, `shift of ${s.guard || "nobody yet"} since ${at}: in ${s.in}, out ${s.out}, refused ${s.refused}, asked ${s.looked}, undone ${s.undone}`));
}

// drawSuggest asks whether a lane should turn, when most of those who come seem to go the other way.
function drawSuggest(lanes) {
  const l = lanes.find(l => l.suggest);
  $("suggest").hidden = !l;
  if (!l) return;
  const way = l.suggest === "in" ? "vào · in" : "ra · out";
  $("suggest").replaceChildren(`${l.name}: hầu hết đang đi ${way}?`, el("small", {}, "most people seem to go the other way"),
    el("button", { onclick: () => act({ turn: { lane: l.name, direction: l.suggest } }) }, `Đổi sang ${way}`));
}

function drawChecks(checks, slip) {
  const code = $("test-slip");
  if (slip && code.title !== slip) code.src = "slip.png?" + Date.now();
  code.title = slip || "";
  code.hidden = !slip;
  $("test-list").replaceChildren(...(checks || []).map(c => el("li", { class: c.ok ? "" : "bad" }, `${c.ok ? "✓" : "✕"} ${c.text.vi}`, el("small", {}, c.text.en))));
}

let unlocked = false;
function drawSettings(s) {
  $("settings-locked").hidden = !!s;
  $("settings-fields").disabled = $("settings-save").disabled = !s;
  if (s && !unlocked) for (const name of ["names", "sounds", "schedule"]) $("settings-form").elements[name].checked = s[name]; // not what is being ticked
  unlocked = !!s;
}

async function openRoll() {
  const r = await fetch("roll.json");
  if (!r.ok) return;
  const roll = await r.json();
  $("roll-count").textContent = `${number(roll.inside.length)} người có tên` + (roll.unnamed ? `, thêm khoảng ${number(roll.unnamed)} người không có tên ở cổng này · about ${roll.unnamed} more without a name here` : " · named");
  $("roll-list").replaceChildren(...roll.inside.map((p, i) => el("li", {}, el("label", { class: "tick" }, el("input", { type: "checkbox" }), `${p.who || "?"} · ${p.lane}`))));
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
  $("ask-error").textContent = await act({ answer: { id: asked, answers: answers(e.target), by: e.target.elements.by.value } });
  if (!$("ask-error").textContent) e.target.elements.by.value = "";
});
$("ask-leave").addEventListener("click", () => act({ leave: { id: asked } }));

$("write-form").addEventListener("submit", e => {
  e.preventDefault();
  tell($("write"), { write: Object.fromEntries(new FormData(e.target)) }, () => { e.target.reset(); $("write").close(); });
});
$("settings-form").addEventListener("submit", e => {
  e.preventDefault();
  const set = Object.fromEntries(["names", "sounds", "schedule"].map(name => [name, e.target.elements[name].checked]));
  tell($("settings"), { set }, () => $("settings").close());
});
$("test-run").addEventListener("click", async e => {
  e.target.disabled = true;
  await tell($("test"), { test: {} });
  e.target.disabled = false;
});
for (const b of document.querySelectorAll("[data-open]")) b.addEventListener("click", () => {
  $(b.dataset.open).showModal();
  if (b.dataset.open === "roll") openRoll();
});
for (const b of document.querySelectorAll("[data-close]")) b.addEventListener("click", () => b.closest("dialog").close());
if (/^#[0-9a-f]{64}$/.test(location.hash)) $("fingerprint").textContent = "SHA-256 của chứng chỉ, theo màn hình cổng · of the certificate, as the gate's screen says: " + location.hash.slice(1).match(/../g).join(":");

// drawOptions keeps the lanes that can be chosen, and what is chosen.
function drawOptions(select, lanes) {
  if ([...select.options].map(o => o.value).join() !== lanes.map(l => l.name).join())
    select.replaceChildren(...lanes.map(l => el("option", { value: l.name }, l.name)));
}

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
  if (s.shift) drawShift(s.shift, s.zone);
  drawSuggest(s.lanes);
  drawChecks(s.checked, s.slip);
  drawSettings(s.settings);
  drawOptions($("write-form").elements.lane, s.lanes);
  $("roll-open").hidden = !s.roll_call;
}

const source = new EventSource("events");
source.onmessage = e => draw(JSON.parse(e.data));
source.onerror = () => drawFaces([{ face: "broken", words: { vi: "Mất kết nối với cổng", en: "The gate does not answer" } }]);
drawFaces([{ face: "ready", words: { vi: "Đang nối…", en: "Connecting…" } }]);
