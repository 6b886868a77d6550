// The month on a calendar. The list below it has the same for whoever has no use for a grid.
(() => {
  "use strict";

  const select = document.querySelector("[data-months] select");
  select?.addEventListener("change", () => select.form.requestSubmit());
  document.querySelector("[data-go]")?.classList.add("unseen");

  // The end of a span is on the same day more often than not.
  const clock = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  for (const row of document.querySelectorAll("tr[data-start]")) {
    const start = new Date(row.dataset.start).toDateString();
    for (const time of row.querySelectorAll("time[data-clock]")) {
      const when = new Date(time.dateTime);
      time.title = time.textContent;
      time.textContent = (when.toDateString() === start ? clock : moment).format(when);
    }
  }

  const place = document.getElementById("calendar");
  const source = document.getElementById("events");
  if (!place || !source || !window.fullcalendar) return;

  const { Calendar, dayGrid, theme } = fullcalendar;
  const words = (event) => {
    const box = document.createElement("div");
    box.className = "coming-event";
    const name = document.createElement("b");
    name.textContent = event.title;
    const people = document.createElement("span");
    people.textContent = event.extendedProps.people;
    const at = document.createElement("span");
    at.textContent = clock.format(event.start);
    box.append(at, name, people);
    box.title = [event.title, event.extendedProps.detail, event.extendedProps.of, event.extendedProps.people]
      .filter(Boolean).join(" – ");
    return box;
  };
  const calendar = new Calendar(place, {
    plugins: [dayGrid, theme],
    initialView: "dayGridMonth",
    initialDate: place.dataset.month,
    headerToolbar: false,
    height: "auto",
    fixedWeekCount: false,
    firstDay: 1,
    dayMaxEvents: 4,
    events: JSON.parse(source.textContent),
    eventDisplay: "list-item",
    eventContent: ({ event }) => ({ domNodes: [words(event)] }),
  });
  calendar.render();
})();
