// The same text as a form: a field for each part of the event, and the variables as a table.
(() => {
  "use strict";

  const made = (tag, attributes = {}, ...inside) => {
    const element = document.createElement(tag);
    for (const [key, value] of Object.entries(attributes)) {
      if (value !== false && value !== null && value !== undefined) element.setAttribute(key, value === true ? "" : value);
    }
    element.append(...inside);
    return element;
  };
  const KINDS = { required: "required", default: "if missing:", optional: "may be blank" };

  window.templateForm = (root, { types, isFixed, onChange, onTable, onExtends, onFocus }) => {
    const field = (name) => root.querySelector(`#b-${CSS.escape(name)}`);
    const fields = [...root.querySelectorAll("[data-block] textarea")];
    const purpose = root.querySelector("[data-purpose]");
    const list = root.querySelector("#variables");
    const pieces = root.querySelector("#f-extends");
    let its = { fields: {} };
    let focused = null;
    let rows = [];
    let tableText = "";

    // --- the fields ---------------------------------------------------------------------------------------------
    for (const area of fields) {
      area.addEventListener("input", () => {
        onChange(area.name, area.value);
        count(area.name);
      });
      area.addEventListener("focus", () => { focused = area; onFocus(area); });
      // What is left blank goes, so that a shared piece's word or the usual value holds.
      area.addEventListener("blur", () => {
        if (!isFixed && area.value.trim() === "" && (its.fields[area.name]?.text ?? null) !== null) onChange(area.name, null);
      });
    }
    pieces.addEventListener("change", () => onExtends(pieces.value || null));

    let rendered = {};
    let widths = {}; // an emoji counts two
    function count(name) {
      const place = root.querySelector(`#c-${CSS.escape(name)}`);
      const best = Number(place.dataset.best || 0);
      const comesOut = rendered[name];
      const written = [...field(name).value].length;
      let words = "";
      if (comesOut !== undefined) {
        const size = widths[name] ?? [...comesOut].length;
        words = best ? `${size} of about ${best} characters that a lock screen shows`
          : "long" in place.dataset ? `${size} characters` : `→ ${size > 60 ? `${comesOut.slice(0, 60)}…` : comesOut || "blank"}`;
        place.classList.toggle("over", best > 0 && size > best);
      } else if (written && (best || "long" in place.dataset)) {
        words = `${written} characters written`;
        place.classList.remove("over");
      }
      if (place.textContent !== words) place.textContent = words;
    }

    function fill(form, pending) {
      its = form;
      for (const area of fields) {
        const one = form.fields[area.name] ?? { text: null, inherited: null };
        const text = one.text ?? "";
        if (!(area.name in pending) && area.value !== text && !(document.activeElement === area && area.value.trim() === text)) {
          area.value = text;
        }
        const inherited = one.inherited || "";
        if (area.placeholder !== inherited) area.placeholder = inherited;
        const blank = root.querySelector(`#h-${CSS.escape(area.name)} .blank`);
        const from = inherited
          ? `If blank: what ${form.extends || "the shared piece"} says, ${inherited.length > 60 ? `${inherited.slice(0, 60)}…` : inherited}`
          : blank.dataset.blank;
        if (blank.textContent !== from) blank.textContent = from;
        if (text || area.name in pending) show(area);
      }
      const settings = root.querySelector("#settings");
      if (settings.textContent !== form.settings) settings.textContent = form.settings;
      root.querySelector("#settings-part").hidden = !form.settings;
      if (pieces.value !== (form.extends || "")) {
        if (form.extends && ![...pieces.options].some((one) => one.value === form.extends)) pieces.add(new Option(form.extends));
        pieces.value = form.extends || "";
      }
      fillTable(form.declared);
    }

    function show(area) {
      const block = area.closest("[data-block]");
      if (block.hidden) {
        block.hidden = false;
        tellMore();
      }
    }

    const rare = root.querySelector("#show-rare");
    const rares = [...root.querySelectorAll("[data-rare]")];
    function tellMore() {
      const hidden = rares.filter((block) => block.hidden);
      const isOpen = rare.getAttribute("aria-expanded") === "true";
      rare.hidden = !hidden.length && !isOpen;
      rare.textContent = hidden.length
        ? `More fields: ${hidden.map((block) => block.querySelector("label").textContent.toLowerCase()).join(", ")}` : "Fewer fields";
    }
    for (const block of rares) block.hidden = true;
    tellMore();
    rare.addEventListener("click", () => {
      const open = rare.getAttribute("aria-expanded") !== "true";
      rare.setAttribute("aria-expanded", String(open));
      for (const block of rares) block.hidden = !open && !block.querySelector("textarea").value;
      tellMore();
    });

    // --- the variables ------------------------------------------------------------------------------------------
    const read = () => ({
      purpose: purpose.value,
      rows: rows.map(({ was, cells }) => ({
        was, name: cells.name.value, type: cells.type.value, kind: cells.kind.value, default: cells.default.value,
        choices: cells.choices.value, example: cells.example.value, note: cells.note.value,
      })),
    });
    const changed = () => onTable(read());

    function fillTable(declared) {
      const fault = root.querySelector("#declared-fault");
      fault.hidden = !declared.fault;
      fault.textContent = declared.fault ? `The first comment cannot be shown as a table: ${declared.fault}. Mend it in the source.` : "";
      list.hidden = Boolean(declared.fault);
      const text = JSON.stringify(declared);
      if (text === tableText || root.querySelector("#declared").contains(document.activeElement)) {
        // Names as they stand now: a name that was changed is what the next change is of.
        if (!declared.fault && declared.rows.length === rows.length) declared.rows.forEach((row, at) => { rows[at].was = row.was; });
        return;
      }
      tableText = text;
      purpose.value = declared.purpose;
      list.replaceChildren();
      rows = [];
      for (const row of declared.rows) add(row);
    }

    let number = 0;
    function add(row) {
      number += 1;
      const id = (cell) => `v${number}-${cell}`;
      const text = (cell, label, placeholder = "") => made("input", {
        id: id(cell), "data-cell": cell, "aria-label": `${label} of ${row.name || "the new variable"}`, placeholder, readonly: isFixed,
        autocomplete: "off", spellcheck: "false",
      });
      const choice = (cell, label, options) => {
        const select = made("select", { id: id(cell), "aria-label": `${label} of ${row.name || "the new variable"}`, disabled: isFixed });
        for (const [value, words] of Object.entries(options)) select.add(new Option(words, value));
        return select;
      };
      const cells = {
        name: text("name", "Name", "first_name"), type: choice("type", "Type", types), kind: choice("kind", "What if it is missing", KINDS),
        default: text("default", "What stands in"), choices: text("choices", "What it is one of", "a, b, c"),
        example: text("example", "Example", "an example"), note: text("note", "Note", "a note for colleagues"),
      };
      const remove = made("button", { type: "button", class: "plain", "aria-label": `Remove ${row.name || "the new variable"}`, title: "Remove" }, "✕");
      const fault = made("small", { class: "fault", role: "alert", hidden: true });
      const entry = { was: row.was, cells, fault };
      const line = made("div", { class: "variable", role: "listitem", "aria-label": row.name || "new variable" },
        made("div", { class: "variable-what" }, cells.name, cells.type, cells.choices, cells.kind, cells.default, isFixed ? "" : remove),
        made("div", { class: "variable-says" }, cells.example, cells.note), fault);
      const fit = () => {
        cells.choices.hidden = cells.type.value !== "one of";
        cells.default.hidden = cells.kind.value !== "default";
      };
      for (const [key, cell] of Object.entries(cells)) cell.value = row[key] ?? "";
      fit();
      line.addEventListener("input", () => { fit(); changed(); });
      line.addEventListener("focusout", (event) => { if (!line.contains(event.relatedTarget)) tableText = ""; });
      remove.addEventListener("click", () => {
        rows = rows.filter((one) => one !== entry);
        line.remove();
        changed();
      });
      rows.push(entry);
      list.append(line);
      return cells.name;
    }
    purpose.addEventListener("input", changed);
    root.querySelector("#add-variable")?.addEventListener("click", () => {
      add({ name: "", was: "", kind: "required", type: "text" }).focus();
    });

    return {
      fill,
      reset() { tableText = ""; },
      /** What came out of each field; null: nothing did. */
      came(out, its) {
        rendered = out ?? {};
        widths = its ?? {};
        for (const area of fields) count(area.name);
      },
      fault(words) {
        const note = root.querySelector("#form-fault");
        note.hidden = !words;
        note.textContent = words;
        root.querySelector("#form").hidden = Boolean(words);
      },
      /** Mistakes at their fields; `errors` of the table by its rows. */
      mark(faults) {
        for (const area of fields) {
          const found = faults.find((one) => one.is_here && one.field === area.name);
          const note = root.querySelector(`#w-${CSS.escape(area.name)}`);
          const words = found?.words ?? "";
          if (note.textContent !== words) note.textContent = words;
          note.hidden = !words;
          note.classList.toggle("warn", found?.level === "warn");
          if (words && found.level !== "warn") { area.setAttribute("aria-invalid", "true"); show(area); } else area.removeAttribute("aria-invalid");
        }
      },
      markTable(errors) {
        rows.forEach((row, at) => {
          const found = errors.find((one) => one.field === `variables.${at}`);
          row.fault.hidden = !found;
          row.fault.textContent = found?.message ?? "";
        });
        const other = errors.find((one) => one.field === "purpose");
        if (other) root.querySelector("#declared-fault").textContent = other.message;
        if (other) root.querySelector("#declared-fault").hidden = false;
      },
      insert(words) {
        if (!focused) return false;
        focused.setRangeText(words, focused.selectionStart, focused.selectionEnd, "end");
        focused.focus();
        focused.dispatchEvent(new Event("input", { bubbles: true }));
        return true;
      },
      focused: () => focused,
    };
  };
})();
