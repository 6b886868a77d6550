// A person's calendar by months. The list below says the same without a script.
(() => {
  "use strict";

  const place = document.querySelector("#month");
  if (!place) return;
  const { Calendar, dayGrid, list, theme } = window.fullcalendar;
  const isNarrow = matchMedia("(max-width: 40rem)").matches;
  const calendar = new Calendar(place, {
    plugins: [dayGrid, list, theme],
    initialView: isNarrow ? "listMonth" : "dayGridMonth",
    initialDate: place.dataset.first,
    timeZone: "UTC", // the digits are those of each event's own clock
    height: "auto",
    fixedWeekCount: false,
    firstDay: 1,
    headerToolbar: { start: "title", center: "", end: "dayGridMonth,listMonth today prev,next" },
    eventTimeFormat: { hour: "2-digit", minute: "2-digit", hour12: false },
    events: JSON.parse(document.querySelector("#entries").textContent),
  });
  calendar.render();

  const system = matchMedia("(prefers-color-scheme: dark)");
  const root = document.documentElement;
  const dress = () => {
    const isDark = root.dataset.theme ? root.dataset.theme === "dark" : system.matches;
    place.dataset.colorScheme = isDark ? "dark" : "light";
  };
  dress();
  system.addEventListener("change", dress);
  new MutationObserver(dress).observe(root, { attributeFilter: ["data-theme"] });
})();
