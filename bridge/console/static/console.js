// What every page of the console has: the CSRF token for htmx, light and dark, times in the reader's own zone.
(() => {
  "use strict";

  const holder = document.querySelector("meta[name=csrf-token]");
  document.addEventListener("htmx:configRequest", (event) => {
    event.detail.headers["X-CSRFToken"] = holder.content;
  });

  // Whoever signed in anew in another tab goes on here, with what is typed.
  document.addEventListener("visibilitychange", async () => {
    if (document.visibilityState !== "visible") return;
    const answer = await fetch("/console/token").catch(() => null);
    if (!answer?.ok) return;
    holder.content = (await answer.json()).token;
    for (const input of document.querySelectorAll("input[name=csrf_token]")) input.value = holder.content;
  });

  document.addEventListener("click", (event) => {
    if (!event.target.closest("[data-theme-switch]")) return;
    const root = document.documentElement;
    const isDark = root.dataset.theme
      ? root.dataset.theme === "dark"
      : matchMedia("(prefers-color-scheme: dark)").matches;
    root.dataset.theme = isDark ? "light" : "dark";
    localStorage.setItem("theme", root.dataset.theme);
  });

  document.addEventListener("submit", (event) => {
    const words = event.target.dataset.sure;
    if (words && !confirm(words)) event.preventDefault();
  });

  const format = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const localize = (root) => {
    for (const time of root.querySelectorAll("time[datetime]:not([data-local])")) {
      const when = new Date(time.dateTime);
      if (Number.isNaN(when.getTime())) continue;
      time.title = time.textContent;
      time.textContent = format.format(when);
      time.dataset.local = "";
    }
  };
  localize(document);
  document.addEventListener("htmx:afterSettle", () => localize(document));
})();
