// Draws what today.json has, again every ten seconds while somebody looks, and writes the same into a table.
(() => {
  "use strict";

  const section = document.getElementById("charts");
  if (!section || !window.uPlot) return;
  const choice = section.querySelector("[data-choice]");
  const body = section.querySelector("tbody");
  const details = section.querySelector("details");
  const EVERY = 10000;

  const cards = document.getElementById("cards");

  const number = new Intl.NumberFormat();
  const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "short" });
  const hour = new Intl.DateTimeFormat(undefined, { timeStyle: "short" });
  const day = new Intl.DateTimeFormat(undefined, { day: "numeric", month: "short" });
  const count = (value) => (value == null ? "–" : number.format(value));
  const duration = (ms) => {
    if (ms == null) return "–";
    const units = [["d", 86400000], ["h", 3600000], ["min", 60000], ["s", 1000]];
    const [name, size] = units.find(([, size]) => ms >= size) ?? ["ms", 1];
    const value = ms / size;
    return `${value < 10 && size > 1 ? Math.round(value * 10) / 10 : Math.round(value)} ${name}`;
  };

  const localize = () => {
    const today = new Date().toDateString();
    for (const time of cards.querySelectorAll("time[data-clock]")) {
      const when = new Date(time.dateTime);
      time.title = moment.format(when);
      time.textContent = (when.toDateString() === today ? hour : moment).format(when);
    }
  };
  localize();
  cards.addEventListener("htmx:afterSettle", localize);

  const WHOLE = Array.from({ length: 9 }, (_, power) => [1, 2, 5].map((one) => one * 10 ** power)).flat();
  const CHARTS = {
    flow: { tell: count, steps: WHOLE, fill: ["accepted"], lines: [["accepted", "Accepted"], ["delivered", "Handed over"], ["failed", "Failed"]] },
    waiting: { tell: count, steps: WHOLE, fill: ["waiting"], lines: [["waiting", "Waiting"]] },
    latency: {
      tell: duration,
      lines: [["half_ms", "Half within", "half"], ["most_ms", "95 % within", "most"], ["slowest_ms", "Slowest", "slowest"]],
    },
  };
  const drawn = {};
  let last = null;

  const colour = (name) => getComputedStyle(section).getPropertyValue(`--${name}`).trim();
  const ticksOf = (_chart, ticks, _axis, _space, step) =>
    ticks.map((at, index) => {
      const when = new Date(at * 1000);
      const isNewDay = index === 0 || when.getHours() + when.getMinutes() === 0;
      if (step >= 86400) return day.format(when);
      return isNewDay ? `${hour.format(when)}\n${day.format(when)}` : hour.format(when);
    });
  // Where nobody points, the newest is told.
  const atRest = (chart) => {
    if (chart.cursor.idx == null && chart.data[0].length) chart.setLegend({ idx: chart.data[0].length - 1 });
  };
  // A value between two that nobody counted is no line.
  const alone = (chart, series) => {
    const its = chart.data[series];
    return its.flatMap((value, index) =>
      value != null && its[index - 1] == null && its[index + 1] == null ? [index] : []);
  };
  const options = (chart, place) => {
    const ink = getComputedStyle(section).color;
    const axis = { stroke: ink, grid: { stroke: colour("line"), width: 1 }, ticks: { stroke: colour("line"), width: 1 } };
    return {
      width: place.clientWidth, height: 200, hooks: { setCursor: [atRest], draw: [atRest] },
      scales: { y: { range: (_u, _low, high) => [0, Math.max(high ?? 0, 1) * 1.05] } },
      axes: [{ ...axis, values: ticksOf }, { ...axis, size: 70, values: (_u, ticks) => ticks.map(chart.tell), ...(chart.steps && { incrs: chart.steps }) }],
      series: [
        { value: (_u, at) => (at == null ? "–" : moment.format(at * 1000)), label: "From" },
        ...chart.lines.map(([column, label, name], index) => {
          const stroke = colour(name ?? column);
          return {
            label, stroke, width: 2, fill: chart.fill?.includes(column) ? `${stroke}33` : undefined,
            dash: index === 2 ? [6, 4] : undefined, points: { show: true, size: 5, fill: stroke, filter: alone }, value: (_u, value) => chart.tell(value),
          };
        }),
      ],
    };
  };

  const draw = (found) => {
    for (const [name, chart] of Object.entries(CHARTS)) {
      const place = section.querySelector(`[data-chart=${name}]`);
      const columns = [found.times, ...chart.lines.map(([column]) => found[column])];
      if (drawn[name]) drawn[name].setData(columns);
      else drawn[name] = new uPlot(options(chart, place), columns, place);
    }
  };
  const anew = () => {
    for (const name of Object.keys(drawn)) {
      drawn[name].destroy();
      delete drawn[name];
    }
    if (last) draw(last);
  };

  const tabulate = (found) => {
    if (!details.open) return;
    const rows = found.times.map((at, index) => {
      const row = document.createElement("tr");
      const of = (name) => found[name][index];
      const cells = [
        moment.format(at * 1000), count(of("accepted")), count(of("delivered")), count(of("failed")), count(of("skipped")),
        count(of("waiting")), duration(of("half_ms")), duration(of("most_ms")), duration(of("slowest_ms")),
      ];
      row.append(...cells.map((text) => {
        const cell = document.createElement("td");
        cell.textContent = text;
        return cell;
      }));
      return row;
    });
    body.replaceChildren(...rows.reverse());
  };

  const say = (words) => {
    const place = section.querySelector("[data-counted]");
    if (place.textContent !== words) place.textContent = words;
  };
  const show = (found) => {
    last = found;
    const each = found.each === 1 ? "in each minute" : `in each ${found.each} minutes`;
    section.querySelector("[data-each]").textContent = each;
    say(found.times.length ? "" : "Nothing has been counted yet: a running worker begins within seconds.");
    draw(found);
    tabulate(found);
    section.dataset.shown = found.counted_at ?? "";
  };

  let asked = 0;
  const load = async () => {
    const mine = ++asked;
    try {
      const answer = await fetch(`${section.dataset.from}?${new URLSearchParams(new FormData(choice))}`);
      if (!answer.ok || answer.redirected) throw new Error(answer.statusText);
      const found = await answer.json();
      if (mine === asked) show(found);
    } catch {
      if (mine === asked) say("The charts could not be loaded just now; they are asked for again in ten seconds.");
    }
  };

  choice.addEventListener("change", load);
  choice.addEventListener("submit", (event) => event.preventDefault());
  details.addEventListener("toggle", () => last && tabulate(last));
  const again = () => {
    if (document.hidden) return;
    load();
    // Not under the fingers of somebody who is about to press a button.
    if (!cards.contains(document.activeElement)) htmx.trigger(cards, "again");
  };
  setInterval(again, EVERY);
  document.addEventListener("visibilitychange", again);
  new MutationObserver(anew).observe(document.documentElement, { attributeFilter: ["data-theme"] });
  matchMedia("(prefers-color-scheme: dark)").addEventListener("change", anew);
  new ResizeObserver(() => {
    for (const chart of Object.values(drawn)) {
      chart.setSize({ width: chart.root.parentElement.clientWidth, height: 200 });
    }
  }).observe(section);
  load();
})();
