// The template's text in an editor: highlighting, completion, and mistakes underlined at their place.
(() => {
  "use strict";

  const TAGS = [
    ["if", "{% if ${condition} %}${}{% endif %}", "only if"],
    ["elif", "{% elif ${condition} %}", "or else if"],
    ["else", "{% else %}", "otherwise"],
    ["endif", "{% endif %}", ""],
    ["for", "{% for ${item} in ${list} %}${}{% endfor %}", "once for each"],
    ["endfor", "{% endfor %}", ""],
    ["set", "{% set ${name} = ${value} %}", "works something out for later"],
    ["block", "{% block ${title} %}${}{% endblock %}", "one field of the event"],
    ["endblock", "{% endblock %}", ""],
    ["extends", '{% extends "${_brand}" %}', "takes over a shared piece's fields"],
    ["include", '{% include "${_footer}" %}', "puts a shared piece in here"],
  ];

  function theme(cm) {
    const { EditorView, HighlightStyle, syntaxHighlighting, tags } = cm;
    const style = HighlightStyle.define([
      { tag: [tags.keyword, tags.controlKeyword, tags.definitionKeyword, tags.tagName], color: "var(--code-tag)", fontWeight: "600" },
      { tag: [tags.brace, tags.separator, tags.processingInstruction, tags.bracket, tags.squareBracket], color: "var(--code-brace)" },
      { tag: [tags.variableName, tags.propertyName], color: "var(--code-variable)" },
      { tag: [tags.function(tags.variableName), tags.special(tags.variableName)], color: "var(--code-filter)" },
      { tag: [tags.string, tags.literal], color: "var(--code-text)" },
      { tag: [tags.number, tags.bool], color: "var(--code-number)" },
      { tag: [tags.comment, tags.blockComment, tags.lineComment], color: "var(--code-comment)", fontStyle: "italic" },
    ]);
    return [
      syntaxHighlighting(style),
      EditorView.theme({
        "&": { backgroundColor: "var(--pico-background-color)", color: "var(--pico-color)", fontSize: "0.85rem" },
        "&.cm-focused": { outline: "2px solid var(--pico-primary-focus)" },
        ".cm-scroller": { fontFamily: "var(--pico-font-family-monospace)", lineHeight: "1.55" },
        ".cm-content": { caretColor: "var(--pico-color)" },
        ".cm-cursor": { borderLeftColor: "var(--pico-color)" },
        ".cm-gutters": { backgroundColor: "var(--pico-card-sectioning-background-color)", color: "var(--code-comment)", border: "none" },
        ".cm-activeLine, .cm-activeLineGutter": { backgroundColor: "var(--code-line)" },
        "&.cm-focused .cm-selectionBackground, .cm-selectionBackground": { backgroundColor: "var(--code-selection) !important" },
        ".cm-tooltip, .cm-panels": { backgroundColor: "var(--pico-card-background-color)", color: "var(--pico-color)", border: "1px solid var(--pico-muted-border-color)" },
        ".cm-tooltip-autocomplete ul li[aria-selected]": { backgroundColor: "var(--pico-primary-background)", color: "var(--pico-primary-inverse)" },
        ".cm-diagnostic": { maxWidth: "32rem", whiteSpace: "pre-wrap" },
      }),
    ];
  }

  /** What may stand at the cursor. `known`: {blocks, filters, filterHelp, variables()}. */
  function completions(cm, known) {
    const option = (label, type, detail, info) => ({ label, type, detail: detail || undefined, info: info || undefined });
    return (context) => {
      const before = context.state.sliceDoc(Math.max(0, context.pos - 3000), context.pos);
      const opened = Math.max(before.lastIndexOf("{{"), before.lastIndexOf("{%"));
      const closed = Math.max(before.lastIndexOf("}}"), before.lastIndexOf("%}"));
      const word = /[\w]*$/.exec(before)[0];
      const from = context.pos - word.length;
      if (opened <= closed) return null;
      const inside = before.slice(opened);
      if (/^\{%[-+]?\s*(end)?block\s+\w*$/.test(inside)) {
        return { from, options: known.blocks.map((name) => option(name, "property")), validFor: /^\w*$/ };
      }
      if (/^\{%[-+]?\s*\w*$/.test(inside)) {
        const start = context.pos - inside.length;
        return {
          from: start,
          filter: false,
          options: TAGS.filter(([name]) => name.startsWith(word)).map(([name, text, detail]) => {
            const closes = context.state.sliceDoc(context.pos, context.pos + 3).match(/^\s?%\}/)?.[0].length ?? 0;
            const snippet = cm.snippetCompletion(text, { label: `{% ${name}`, displayLabel: name, type: "keyword", detail });
            return { ...snippet, apply: (view, done, at, to) => snippet.apply(view, done, at, to + closes) };
          }),
        };
      }
      if (/\|\s*\w*$/.test(inside)) {
        const options = known.filters.map((name) => {
          const [example, told] = known.filterHelp[name] ?? [];
          return { ...option(name, "function", example && example !== name ? example : "", told), boost: example ? 1 : 0 };
        });
        return { from, options, validFor: /^\w*$/ };
      }
      if (!word && !context.explicit && !/[({\s]$/.test(before)) return null;
      const options = known.variables().map((one) => ({
        ...option(one.name, "variable", one.type, [one.note, one.example && `e.g. ${one.example}`].filter(Boolean).join("; ")),
        boost: 1,
      }));
      return { from, options: [...options, option("now", "variable", "time", "when the request came in")], validFor: /^\w*$/ };
    };
  }

  window.sourceEditor = (parent, { text, isFixed, known, onChange, onFocus }) => {
    const cm = window.codemirror;
    const { EditorView, EditorState, Annotation, keymap } = cm;
    const silent = Annotation.define();
    const view = new EditorView({
      parent,
      doc: text,
      extensions: [
        EditorView.cspNonce.of(document.querySelector("meta[name=nonce]").nonce),
        cm.basicSetup,
        cm.jinjaLanguage.extension,
        cm.autocompletion({ override: [completions(cm, known)] }),
        cm.lintGutter(),
        keymap.of([cm.indentWithTab, ...cm.lintKeymap]),
        EditorView.lineWrapping,
        EditorState.readOnly.of(isFixed),
        EditorView.contentAttributes.of({ "aria-label": parent.dataset.label, spellcheck: "false", tabindex: "0" }),
        theme(cm),
        EditorView.updateListener.of((update) => {
          if (update.focusChanged && update.view.hasFocus) onFocus();
          if (update.docChanged && !update.transactions.some((one) => one.annotation(silent))) onChange();
        }),
      ],
    });
    const shown = () => view.state.doc.toString();
    return {
      text: shown,
      focus: () => view.focus(),
      /** Changes only what differs, so that the cursor stays and undo brings back what was. */
      set(next) {
        const old = shown();
        if (old === next) return;
        let start = 0;
        while (start < old.length && start < next.length && old[start] === next[start]) start += 1;
        let end = 0;
        while (end < old.length - start && end < next.length - start && old.at(-1 - end) === next.at(-1 - end)) end += 1;
        view.dispatch({
          changes: { from: start, to: old.length - end, insert: next.slice(start, next.length - end) },
          annotations: silent.of(true),
        });
      },
      insert(words) {
        view.dispatch(view.state.replaceSelection(words), { scrollIntoView: true });
        view.focus();
      },
      goTo(number) {
        const line = view.state.doc.line(Math.min(Math.max(1, number), view.state.doc.lines));
        view.dispatch({ selection: { anchor: line.from }, effects: EditorView.scrollIntoView(line.from, { y: "center" }) });
        view.focus();
      },
      mark(faults) {
        const doc = view.state.doc;
        const found = faults.filter((one) => one.is_here).map((one) => {
          const line = doc.line(Math.min(Math.max(1, one.line ?? 1), doc.lines));
          const has = one.line && one.start !== null && one.start < line.length;
          const blank = /^\s*/.exec(line.text)[0].length;
          const from = line.from + (has ? one.start : Math.min(blank, line.length));
          const to = has ? Math.min(line.from + one.end, line.to) : line.to;
          return { from, to: Math.max(from, to), severity: one.level === "warn" ? "warning" : "error", message: one.words };
        });
        view.dispatch(cm.setDiagnostics(view.state, found));
      },
    };
  };
})();
