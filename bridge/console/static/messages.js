// The list of messages: choosing some, and times of the search in the reader's own zone.
(() => {
  "use strict";

  const form = document.querySelector("form[data-choose]");
  if (form) {
    const boxes = [...form.querySelectorAll("input[name=id]:not(:disabled)")];
    const all = form.querySelector("[data-all]");
    const button = form.querySelector("[data-chosen]");
    const plain = button.textContent;
    const tell = () => {
      const number = boxes.filter((box) => box.checked).length;
      button.disabled = number === 0;
      const words = number === 1 ? "1 message" : `${number} messages`;
      button.textContent = number ? button.dataset.chosen.replace("%s", words) : plain;
      all.checked = number > 0 && number === boxes.length;
      all.indeterminate = number > 0 && number < boxes.length;
    };
    all.addEventListener("change", () => {
      for (const box of boxes) box.checked = all.checked;
      tell();
    });
    form.addEventListener("change", tell);
    tell();
  }

  // The bridge reads times as UTC: shown and typed as local ones, they are sent with their offset.
  const pad = (number) => String(number).padStart(2, "0");
  const local = (at) =>
    `${at.getFullYear()}-${pad(at.getMonth() + 1)}-${pad(at.getDate())}T${pad(at.getHours())}:${pad(at.getMinutes())}`;
  for (const input of document.querySelectorAll("input[data-utc]")) {
    const label = document.querySelector(`label[for="${input.id}"]`);
    label.textContent = label.textContent.replace(" (UTC)", "");
    if (input.value) input.value = local(new Date(`${input.value}Z`));
    input.form.addEventListener("submit", () => {
      if (!input.value) return;
      const sent = document.createElement("input");
      sent.type = "hidden";
      sent.name = input.name;
      sent.value = new Date(input.value).toISOString();
      input.removeAttribute("name");
      input.form.append(sent);
    });
  }
})();
