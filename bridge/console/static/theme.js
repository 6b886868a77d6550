// Light or dark as the reader chose; without a choice, as the system has it. In the head, so that nothing flickers.
(() => {
  const chosen = localStorage.getItem("theme");
  if (chosen === "light" || chosen === "dark") document.documentElement.dataset.theme = chosen;
})();
