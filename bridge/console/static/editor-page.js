// The editor's page: one text as form and as source, looked at as one types, saved as a draft a second later.
(() => {
  "use strict";

  const LOOK_EVERY = 100; // milliseconds, while somebody types; the first key after a pause is looked at sooner
  const LOOK_AFTER = 20;
  const SAVE_AFTER = 1000;
  const SAVE_AGAIN_AFTER = 5000; // where it did not work
  const NEWS_EVERY = 5000;
  const AWAY_AFTER = 30 * 60 * 1000; // nobody is there: asking on would keep the session from ending

  const $ = (id) => document.getElementById(id);
  const given = JSON.parse($("given").textContent);

  // `source`: the whole text as it was last told. `base`: the text to which `changes` and `declared` of the form
  // belong; while a field holds half a tag, that is the text before it.
  const text = { source: given.source, base: given.source, changes: {}, declared: null, isHeld: false };
  const draft = { revision: given.revision, version: given.version, edits: 0, saved: 0, isSaving: false, isStopped: false };
  let variables = [];
  let isSource = false;

  // --- asking -----------------------------------------------------------------------------------------------------
  async function send(method, url, body) {
    const ask = () => {
      const headers = { "HX-Request": "true", "X-CSRFToken": document.querySelector("meta[name=csrf-token]").content };
      if (body !== undefined) headers["Content-Type"] = "application/json";
      return fetch(url, { method, headers, body: body === undefined ? undefined : JSON.stringify(body) });
    };
    const answer = await ask();
    if (answer.status !== 400 || method === "GET") return answer;
    // Signed in anew in another tab: this page's token is of the session before.
    const fresh = await fetch(`${given.base}/state`, { headers: { "HX-Request": "true" } });
    if (!fresh.ok) return answer;
    document.querySelector("meta[name=csrf-token]").content = (await fresh.json()).csrf;
    return ask();
  }
  const inWords = async (answer) => {
    const body = await answer.text();
    try {
      return JSON.parse(body).errors.map((one) => one.message).join(" ");
    } catch {
      return new DOMParser().parseFromString(body, "text/html").body.textContent.trim() || `It answered ${answer.status}.`;
    }
  };
  const edit = () => ({
    source: text.base, changes: { ...text.changes }, declared: text.isHeld ? null : text.declared,
  });

  // --- looking ----------------------------------------------------------------------------------------------------
  let timer = null;
  let isLooking = false;
  let isWanted = false;
  let lookedAt = -LOOK_EVERY;
  const lookSoon = () => {
    clearTimeout(timer);
    timer = setTimeout(look, Math.max(LOOK_AFTER, lookedAt + LOOK_EVERY - performance.now()));
  };
  async function look() {
    clearTimeout(timer);
    if (isLooking) { isWanted = true; return; }
    isLooking = true;
    isWanted = false;
    lookedAt = performance.now();
    const sent = edit();
    const edits = draft.edits;
    try {
      const answer = await send("POST", `${given.base}/look`, { ...sent, ...seen.asked() });
      if (answer.status === 422) {
        const errors = (await answer.json().catch(() => ({}))).errors ?? [];
        const ofTable = errors.filter((one) => /^(variables\.|purpose)/.test(one.field));
        if (ofTable.length && sent.declared) {
          text.isHeld = true;
          form.markTable(ofTable);
          isWanted = true;
        } else notes(errors.map((one) => one.message).join(" "));
      } else if (!answer.ok) notes(await inWords(answer));
      else took(await answer.json(), sent);
    } catch {
      notes("The bridge does not answer. What you write stays on this page.");
    } finally {
      isLooking = false;
      document.documentElement.dataset.looked = String(edits); // for whoever measures
      if (isWanted) lookSoon();
    }
  }
  const cannot = (its) => `This text cannot be shown as a form: ${its.line ? `line ${its.line}: ` : ""}${its.fault}. Mend it in the source.`;
  function notes(words) {
    const note = document.createElement("p");
    note.className = "note bad";
    note.textContent = words;
    $("notes").replaceChildren(note);
    delete $("notes").dataset.shown;
  }
  function took(told, sent) {
    if (text.base === sent.source) {
      text.source = told.source;
      if (!told.form.fault) {
        text.base = told.source;
        for (const [name, value] of Object.entries(sent.changes)) {
          if (text.changes[name] === value) delete text.changes[name];
        }
        if (text.declared === sent.declared) text.declared = null;
      }
      if (!isSource) source.set(text.source);
      if (told.form.fault) {
        const isTyping = Object.keys(text.changes).length > 0;
        form.fault(isTyping ? "" : cannot(told.form));
      } else {
        form.fault("");
        form.fill(told.form, text.changes);
      }
    }
    if (!text.isHeld) form.markTable([]);
    variables = told.variables.length || !told.faults.length ? told.variables : variables;
    chips();
    form.came(told.fields, told.widths);
    form.mark(told.faults);
    if (source.text() === told.source) source.mark(told.faults);
    seen.show(told);
    glance(told);
  }
  function glance(told) {
    const title = told.calendar?.recipient.title;
    const mistake = told.faults.find((one) => one.level === "refuse");
    const words = mistake ? mistake.words : title ?? "No event is made.";
    if ($("glance").textContent !== words) $("glance").textContent = words;
  }
  document.querySelector("[data-glance]").addEventListener("click", (event) => {
    event.preventDefault();
    $("see").scrollIntoView({ block: "start" });
    $("see").focus({ preventScroll: true });
  });

  // --- saving -----------------------------------------------------------------------------------------------------
  let saveTimer = null;
  const at = (iso) => new Intl.DateTimeFormat(undefined, { hour: "2-digit", minute: "2-digit" }).format(new Date(iso));
  const say = (words, isBad = false) => {
    $("saved").textContent = words;
    $("saved").classList.toggle("failed", isBad);
  };
  function changed() {
    if (!given.mayEdit) return;
    draft.edits += 1;
    say(draft.isStopped ? "Not saved: decide below first." : "Not saved yet…", draft.isStopped);
    lookSoon();
    saveSoon(SAVE_AFTER);
  }
  const saveSoon = (after) => { clearTimeout(saveTimer); saveTimer = setTimeout(save, after); };
  async function save() {
    clearTimeout(saveTimer);
    if (draft.isSaving || draft.isStopped || draft.edits === draft.saved) return;
    draft.isSaving = true;
    const edits = draft.edits;
    try {
      const answer = await send("PUT", `${given.base}/draft`, { ...edit(), revision: draft.revision });
      if (answer.status === 409) conflict(await answer.json());
      else if (answer.status === 422) say(`Not saved: ${await inWords(answer)}`, true);
      else if (!answer.ok) {
        if (answer.status === 401) $("told").innerHTML = await answer.text(); // made by the server, which escapes
        say(answer.status === 401 ? "Not saved: you are signed out." : `Not saved: ${await inWords(answer)}`, true);
        saveSoon(SAVE_AGAIN_AFTER);
      } else {
        const told = await answer.json();
        draft.saved = edits;
        stands(told);
        if (draft.edits === edits) say(saved(told));
        else saveSoon(SAVE_AFTER);
      }
    } catch {
      say("Not saved: the bridge does not answer. It is tried again.", true);
      saveSoon(SAVE_AGAIN_AFTER);
    } finally {
      draft.isSaving = false;
    }
  }
  const saved = (told) => text.isHeld
    ? `Saved as a draft ${at(told.at)}, but for the variables: mend what is marked there.`
    : `Saved as a draft ${at(told.at)} by ${told.is_me ? "you" : told.by}. Not published.`;
  function stands(told) {
    draft.revision = told.revision;
    const discard = $("discard");
    if (!discard) return;
    discard.hidden = told.revision === null;
    discard.elements.revision.value = told.revision ?? "";
  }
  addEventListener("beforeunload", (event) => {
    if (draft.edits !== draft.saved && given.mayEdit && !draft.isLeaving) event.preventDefault();
  });
  // Whoever goes on to another page of the console need not wait for a draft to be saved.
  document.addEventListener("click", async (event) => {
    const link = event.target.closest?.("a[href]");
    const isElsewhere = event.button || event.ctrlKey || event.metaKey || event.shiftKey || event.altKey || event.defaultPrevented;
    if (!link || isElsewhere || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    if (link.pathname === location.pathname || !given.mayEdit || draft.isStopped || draft.edits === draft.saved) return;
    event.preventDefault();
    for (let tries = 0; tries < 50 && draft.isSaving; tries += 1) await new Promise((done) => { setTimeout(done, 100); });
    await save();
    location.assign(link.href); // what could not be saved asks first
  });
  $("discard")?.addEventListener("submit", () => { draft.isLeaving = true; });

  // --- two at once ------------------------------------------------------------------------------------------------
  let theirs = null;
  function conflict(told) {
    draft.isStopped = true;
    theirs = told;
    $("news").replaceChildren();
    $("conflict").innerHTML = told.panel; // made by the server, which escapes
    document.dispatchEvent(new CustomEvent("htmx:afterSettle"));
    say("Not saved: decide below first.", true);
    $("conflict").scrollIntoView({ block: "start" });
    $("conflict").querySelector("button").focus();
  }
  function take(next, told) {
    draft.isStopped = false;
    draft.saved = draft.edits;
    $("conflict").replaceChildren();
    $("news").replaceChildren();
    Object.assign(text, { source: next, base: next, changes: {}, declared: null, isHeld: false });
    source.set(next);
    form.reset();
    document.activeElement?.blur?.();
    stands(told);
    look();
  }
  $("conflict").addEventListener("click", async (event) => {
    const decided = event.target.closest("[data-conflict]")?.dataset.conflict;
    if (decided === "theirs") {
      take(theirs.theirs, theirs);
      say(theirs.revision === null ? "This is what is published." : `This is the draft of ${theirs.by}, ${at(theirs.at)}.`);
    } else if (decided === "anew") {
      draft.isStopped = false;
      draft.revision = null;
      $("conflict").replaceChildren();
      save();
    } else if (decided === "copy") {
      const answer = await send("POST", `${given.base}/copy`, edit()).catch(() => null);
      if (!answer?.ok) { say(`The copy was not made: ${answer ? await inWords(answer) : "the bridge does not answer."}`, true); return; }
      draft.isLeaving = true;
      location.assign((await answer.json()).url);
    }
  });
  let wasThereAt = Date.now();
  for (const kind of ["keydown", "pointermove", "pointerdown", "scroll"]) {
    addEventListener(kind, () => { wasThereAt = Date.now(); }, { passive: true, capture: true });
  }
  async function news() {
    if (document.hidden || Date.now() - wasThereAt > AWAY_AFTER || draft.isSaving || draft.isStopped) return;
    const answer = await send("GET", `${given.base}/state`).catch(() => null);
    if (!answer?.ok) return;
    const told = await answer.json();
    document.querySelector("meta[name=csrf-token]").content = told.csrf;
    const isNews = told.revision !== draft.revision && !draft.isSaving && !draft.isStopped;
    if (!isNews) { $("news").replaceChildren(); return; }
    if (draft.edits !== draft.saved) { save(); return; } // it is a conflict, and tells so
    const words = told.revision === null
      ? "This draft was published or thrown away meanwhile."
      : `${told.is_me ? "You, in another window," : told.by} changed this draft at ${at(told.at)}.`;
    if ($("news").textContent.startsWith(words)) return;
    const note = document.createElement("p");
    note.className = "note";
    const button = Object.assign(document.createElement("button"), { type: "button", className: "small", textContent: "Show it" });
    button.addEventListener("click", async () => {
      const fetched = await send("GET", `${given.base}/text`).catch(() => null);
      if (!fetched?.ok) return;
      const its = await fetched.json();
      take(its.source, its);
      say(its.revision === null ? "This is what is published." : `This is the draft of ${its.is_me ? "yours" : its.by}, ${at(its.at)}.`);
    });
    note.append(`${words} `, button);
    $("news").replaceChildren(note);
  }

  // --- the views --------------------------------------------------------------------------------------------------
  const source = window.sourceEditor($("source"), {
    text: text.source, isFixed: !given.mayEdit,
    known: { blocks: given.blocks, filters: given.filters, filterHelp: given.filterHelp, variables: () => variables },
    onChange() {
      Object.assign(text, { source: source.text(), base: source.text(), changes: {}, declared: null, isHeld: false });
      form.reset();
      changed();
    },
    onFocus() { placeInserts($("source")); },
  });
  const form = window.templateForm($("view-form"), {
    types: given.types, isFixed: !given.mayEdit,
    onChange(name, value) { text.changes[name] = value; changed(); },
    onTable(table) { text.declared = table; text.isHeld = false; changed(); },
    onExtends(piece) { text.changes.extends = piece; changed(); },
    onFocus(area) { placeInserts(area); },
  });
  const ask = Object.assign(() => lookSoon(), { body: () => ({ ...edit(), ...seen.asked() }) });
  const seen = window.preview({
    send, base: given.base, onAsk: ask,
    onLine(line) { view(true); source.goTo(line); },
  });

  function view(wantsSource) {
    isSource = wantsSource;
    for (const [id, isOn] of [["form", !wantsSource], ["source", wantsSource]]) {
      $(`view-${id}`).hidden = !isOn;
      $(`tab-${id}`).setAttribute("aria-selected", String(isOn));
      $(`tab-${id}`).tabIndex = isOn ? 0 : -1;
    }
    history.replaceState(null, "", wantsSource ? "#source" : location.pathname + location.search);
    placeInserts(wantsSource ? $("source") : form.focused());
    look();
  }
  for (const name of ["form", "source"]) {
    $(`tab-${name}`).addEventListener("click", () => view(name === "source"));
    $(`tab-${name}`).addEventListener("keydown", (event) => {
      if (event.key !== "ArrowLeft" && event.key !== "ArrowRight") return;
      view(!isSource);
      $(isSource ? "tab-source" : "tab-form").focus();
    });
  }

  // --- inserting --------------------------------------------------------------------------------------------------
  const inserts = $("inserts");
  function placeInserts(field) {
    const after = field && ($(`w-${field.name}`) ?? field); // what is wrong stands nearest to its field
    if (!given.mayEdit || !after) { inserts.hidden = true; return; }
    if (after.nextElementSibling !== inserts) after.after(inserts);
    inserts.hidden = false;
  }
  let chipsText = "";
  function chips() {
    const names = JSON.stringify(variables.map((one) => [one.name, one.type]));
    if (names === chipsText) return;
    chipsText = names;
    $("chips").replaceChildren(...variables.map((one) => {
      const button = Object.assign(document.createElement("button"), { type: "button", className: "chip", textContent: one.name });
      button.title = [one.type, one.note].filter(Boolean).join(": ");
      button.addEventListener("click", () => insert(one));
      return button;
    }));
  }
  function insert(one) {
    const isForPeople = isSource || !form.focused()?.hasAttribute("data-time");
    const words = one.type === "time" && isForPeople ? `{{ ${one.name} | date("%A %-d %B, %H:%M") }}`
      : one.type === "day" && isForPeople ? `{{ ${one.name} | date("%A %-d %B") }}` : `{{ ${one.name} }}`;
    put(words);
  }
  const put = (words) => { if (isSource) source.insert(words); else form.insert(words); };
  inserts.addEventListener("click", (event) => {
    const words = event.target.closest("[data-insert]")?.dataset.insert;
    if (words) put(words);
  });

  // --- begin ------------------------------------------------------------------------------------------------------
  if (given.form.fault) form.fault(cannot(given.form));
  else form.fill(given.form, {});
  const wanted = /^#line-([0-9]{1,6})$/.exec(location.hash);
  view(Boolean(wanted) || location.hash === "#source" || Boolean(given.form.fault));
  if (wanted) source.goTo(Number(wanted[1]));
  document.addEventListener("keydown", (event) => {
    if ((event.ctrlKey || event.metaKey) && event.key === "s") { event.preventDefault(); save(); }
  });
  setInterval(news, NEWS_EVERY);
})();
