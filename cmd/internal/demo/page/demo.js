// The viewer's page of the demo: breaks things, shows the viewer's own declaration, tells what happens.
"use strict";
const names = { network: ["Cut the network", "Mend the network"], disk: ["Fill the disk", "Empty the disk"] };

for (const b of document.querySelectorAll("[data-break]")) {
  const what = b.dataset.break;
  b.addEventListener("click", async () => {
    const on = b.getAttribute("aria-pressed") !== "true";
    const r = await fetch(`break/${what}?full=${on}`, { method: "POST" });
    if (!r.ok) return tell(await r.text());
    if (!names[what]) return;
    b.setAttribute("aria-pressed", on);
    b.textContent = names[what][on ? 1 : 0];
  });
}

const dialog = document.getElementById("declare"), lines = document.getElementById("lines");
document.getElementById("declare-open").addEventListener("click", () => dialog.showModal());
dialog.addEventListener("close", async () => {
  if (dialog.returnValue !== "show") return;
  const r = await fetch("declare", { method: "POST", body: new URLSearchParams(new FormData(dialog.querySelector("form"))) });
  if (!r.ok) tell(await r.text());
});

function tell(line) {
  lines.append(line + "\n");
  lines.scrollTop = lines.scrollHeight;
}
const source = new EventSource("lines");
source.onopen = () => { lines.textContent = ""; };
source.onmessage = e => tell(e.data);
