// The template editor's parts, for pages as `codemirror`: one bundle, so that there is one copy of its state.
export { basicSetup, minimalSetup } from "codemirror";
export { EditorState, EditorSelection, Compartment, StateEffect, StateField, RangeSetBuilder, Prec, Annotation } from "@codemirror/state";
export {
  EditorView, keymap, Decoration, ViewPlugin, WidgetType, hoverTooltip, lineNumbers, placeholder, highlightActiveLine, drawSelection,
} from "@codemirror/view";
export { defaultKeymap, history, historyKeymap, indentWithTab, undo, redo, toggleTabFocusMode } from "@codemirror/commands";
export { syntaxHighlighting, HighlightStyle, defaultHighlightStyle, syntaxTree, bracketMatching, foldGutter, indentUnit } from "@codemirror/language";
export { jinja, jinjaLanguage, jinjaCompletionSource, closePercentBrace } from "@codemirror/lang-jinja";
export { linter, lintGutter, lintKeymap, setDiagnostics, forceLinting, openLintPanel, nextDiagnostic } from "@codemirror/lint";
export { autocompletion, completionKeymap, completeFromList, snippetCompletion, closeBrackets, startCompletion, acceptCompletion } from "@codemirror/autocomplete";
export { search, searchKeymap, openSearchPanel, highlightSelectionMatches } from "@codemirror/search";
export { tags } from "@lezer/highlight";
