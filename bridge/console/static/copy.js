// Buttons that copy: <button type="button" data-copy="ID"> takes the text of the element with that id.
(() => {
  "use strict";

  const copy = async (field) => {
    const text = field.value ?? field.textContent;
    try {
      await navigator.clipboard.writeText(text);
      return true;
    } catch {
      if (!field.select) return false;
      field.select(); // where a page may not write there by itself, the reader does it
      return document.execCommand("copy");
    }
  };

  document.addEventListener("click", async (event) => {
    const button = event.target.closest("[data-copy]");
    if (!button) return;
    const words = button.dataset.words ?? button.textContent;
    button.dataset.words = words;
    button.textContent = (await copy(document.getElementById(button.dataset.copy))) ? "Copied" : "Press Ctrl+C";
    setTimeout(() => { button.textContent = words; }, 2000);
  });
})();
