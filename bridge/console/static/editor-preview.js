// What the template makes: the calendar, the phone, the request, and with whose values.
(() => {
  "use strict";

  const $ = (id) => document.getElementById(id);
  const put = (id, html) => {
    const place = $(id);
    if (place.dataset.shown === html) return;
    place.dataset.shown = html;
    place.innerHTML = html; // made by the server, which escapes
    document.dispatchEvent(new CustomEvent("htmx:afterSettle"));
  };

  const DAYS = ["Sun", "Mon", "Tue", "Wed", "Thu", "Fri", "Sat"];

  window.preview = ({ send, base, onAsk, onLine }) => {
    let values = null;
    let events = null;
    let drawnText = "";
    let clock = "recipient";

    // --- the calendar -------------------------------------------------------------------------------------------
    const { Calendar, dayGrid, timeGrid, theme } = window.fullcalendar;
    const isDark = () => {
      const chosen = document.documentElement.dataset.theme;
      return chosen ? chosen === "dark" : matchMedia("(prefers-color-scheme: dark)").matches;
    };
    const dress = () => { $("calendar").dataset.colorScheme = isDark() ? "dark" : "light"; };
    dress();
    new MutationObserver(dress).observe(document.documentElement, { attributeFilter: ["data-theme"] });
    matchMedia("(prefers-color-scheme: dark)").addEventListener("change", dress);
    function entry({ event, timeText }) {
      const block = document.createElement("div");
      const title = Object.assign(document.createElement("b"), { textContent: event.title });
      block.className = "entry";
      block.append(timeText ? `${timeText} ` : "", title);
      return { domNodes: [block] };
    }
    const calendar = new Calendar($("calendar"), {
      plugins: [dayGrid, timeGrid, theme], timeZone: "UTC", initialView: "dayGridMonth", height: "auto", firstDay: 1,
      headerToolbar: { left: "title", center: "", right: "prev,next" }, nowIndicator: false,
      eventDisplay: "block", allDaySlot: true, eventContent: entry, fixedWeekCount: false, locale: "en-GB",
      eventTimeFormat: { hour: "2-digit", minute: "2-digit", hour12: false },
      views: {
        timeGridWeek: {
          dayHeaderContent: ({ date }) => `${DAYS[date.getUTCDay()]} ${date.getUTCDate()}`, eventMinHeight: 36, slotDuration: "01:00:00", displayEventEnd: false, titleFormat: { day: "numeric", month: "short", year: "numeric" },
        },
      },
      slotHeaderFormat: { hour: "2-digit", minute: "2-digit", hour12: false },
    });
    calendar.render();

    function draw() {
      const one = events?.[clock];
      const text = JSON.stringify([one ?? null, calendar.view.type]);
      if (text === drawnText) return;
      drawnText = text;
      calendar.batchRendering(() => {
        calendar.removeAllEvents();
        if (!one) return;
        calendar.addEvent({ ...one });
        calendar.gotoDate(one.start);
      });
    }
    const press = (pressed, name) => {
      for (const one of document.querySelectorAll(`[data-${name}]`)) one.setAttribute("aria-pressed", String(one === pressed));
    };
    for (const button of document.querySelectorAll("[data-view]")) {
      button.addEventListener("click", () => { press(button, "view"); calendar.changeView(button.dataset.view); draw(); });
    }
    for (const button of document.querySelectorAll("[data-clock]")) {
      button.addEventListener("click", () => { press(button, "clock"); clock = button.dataset.clock; draw(); });
    }

    // --- the zones ----------------------------------------------------------------------------------------------
    const sender = $("z-sender");
    const recipient = $("z-recipient");
    sender.value = Intl.DateTimeFormat().resolvedOptions().timeZone || "UTC";
    for (const input of [sender, recipient]) input.addEventListener("input", () => onAsk());

    // --- with whose values --------------------------------------------------------------------------------------
    const from = $("v-from");
    const through = $("v-through");
    const use = $("v-use");
    function said(words, fault = "") {
      $("v-fault").hidden = !fault;
      $("v-fault").textContent = fault;
      if (words) $("whose-words").textContent = words;
      const part = $("v-values-part");
      part.hidden = values === null;
      $("v-values").textContent = values === null ? "" : JSON.stringify(values, null, 2);
    }
    function chosen() {
      for (const part of document.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== from.value;
      use.hidden = from.value === "";
      use.textContent = from.value === "anybody" ? "Choose somebody" : "Use these";
      if (from.value === "") {
        values = null;
        said("the examples");
        onAsk();
      } else if (from.value === "message") recent();
      else if (from.value === "anybody" || from.value === "team") fetchValues();
    }
    async function recent() {
      const query = through?.value ? `?through=${encodeURIComponent(through.value)}` : "";
      const answer = await send("GET", `${base}/recent${query}`);
      put("v-recent", answer.ok ? await answer.text() : "<p>The list could not be read.</p>");
      $("v-chosen")?.addEventListener("change", () => { $("v-message").value = ""; fetchValues(); });
      if ($("v-chosen")) fetchValues();
    }
    async function fetchValues() {
      const text = { pasted: $("v-pasted").value, user: $("v-user").value, message: $("v-message").value || $("v-chosen")?.value || "" };
      const answer = await send("POST", `${base}/values`, { from: from.value, text: text[from.value] ?? "", through: through?.value });
      const told = await answer.json().catch(() => null);
      if (!answer.ok) {
        said("", told?.errors?.[0]?.message ?? "The values could not be read.");
        return;
      }
      values = told.values;
      said(told.words);
      onAsk();
    }
    from.addEventListener("change", chosen);
    use.addEventListener("click", fetchValues);
    through?.addEventListener("change", () => { if (from.value === "message") recent(); else onAsk(); });
    for (const id of ["v-message", "v-user"]) {
      $(id).addEventListener("keydown", (event) => { if (event.key === "Enter") { event.preventDefault(); fetchValues(); } });
    }

    // --- both sides of each condition -----------------------------------------------------------------------------
    const branches = $("branches-part");
    let branchValues = [];
    let later = null;
    let latest = 0;
    branches.addEventListener("toggle", () => { if (branches.open) showBranches(); });
    async function showBranches() {
      latest += 1;
      const mine = latest;
      const answer = await send("POST", `${base}/branches`, onAsk.body());
      if (!answer.ok || mine !== latest) return;
      const told = await answer.json();
      branchValues = told.values ?? [];
      put("branches", told.html);
    }
    $("branches").addEventListener("click", (event) => {
      const at = event.target.closest("[data-branch]")?.dataset.branch;
      if (at === undefined) return;
      values = branchValues[at];
      from.value = "pasted";
      $("v-pasted").value = JSON.stringify(values, null, 2);
      for (const part of document.querySelectorAll("[data-for]")) part.hidden = part.dataset.for !== "pasted";
      use.hidden = false;
      said("one side of a condition");
      onAsk();
      $("whose").scrollIntoView({ block: "start" });
    });

    $("notes").addEventListener("click", (event) => {
      const line = event.target.closest("[data-line]")?.dataset.line;
      if (line) onLine(Number(line));
    });
    $("ics").addEventListener("submit", () => { $("ics").elements.asked.value = JSON.stringify(onAsk.body()); });

    return {
      asked: () => ({ values, zone: recipient.value, sender: sender.value, through: through?.value }),
      show(told) {
        put("notes", told.notes);
        $("ics").hidden = !told.calendar;
        $("preview").classList.toggle("nothing", !told.calendar);
        // While a mistake stands, what was drawn last stays, grey: it need not flicker at each half of a tag.
        const isMistaken = !told.calendar && told.faults.some((one) => one.level === "refuse");
        $("stale").hidden = !isMistaken || !events;
        if (!isMistaken) {
          events = told.calendar;
          put("when", told.when);
          put("phone", told.phone);
          const request = $("request");
          if (request.textContent !== told.request) request.textContent = told.request;
          $("request-part").hidden = !told.request;
          draw();
        }
        if (branches.open) {
          clearTimeout(later);
          later = setTimeout(showBranches, 800);
        }
      },
    };
  };
})();
