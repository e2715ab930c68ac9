// Keeps an open page up to date. Without it the page is whole, and stands still.
"use strict";
(() => {
  const live = document.getElementById("live");
  const link = document.getElementById("link");
  let busy = false, again = false, first = true;

  function show(on) {
    link.dataset.on = on ? "yes" : "no";
    link.querySelector("[lang=vi]").textContent = on ? "trực tiếp" : "mất kết nối";
    link.querySelector("[lang=en]").textContent = on ? "live" : "connection lost";
  }

  async function load() {
    if (busy) { again = true; return; }
    busy = true;
    try {
      const answer = await fetch("./", { cache: "no-store" });
      if (!answer.ok) throw new Error(answer.status);
      const page = new DOMParser().parseFromString(await answer.text(), "text/html");
      const focus = document.activeElement && document.activeElement.id;
      live.replaceChildren(...page.getElementById("live").childNodes);
      if (focus && live.querySelector("#" + focus)) document.getElementById(focus).focus({ preventScroll: true });
      show(true);
    } catch {
      show(false);
    }
    busy = false;
    if (again) { again = false; load(); }
  }

  const events = new EventSource("events");
  events.addEventListener("figures", () => {
    if (first) { first = false; show(true); return; } // the page has just come with these figures
    load();
  });
  events.addEventListener("error", () => { show(false); first = false; });
})();
