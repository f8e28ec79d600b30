"use strict";

/* Buttons that copy what stands beside them; where that is not allowed, it is selected for the reader to copy. */
function copyButtons() {
  for (const button of document.querySelectorAll("[data-copy]")) {
    button.addEventListener("click", async () => {
      const source = box(button.dataset.copy);
      try {
        await navigator.clipboard.writeText(source.textContent);
        button.textContent = t("acting.copied");
      } catch (error) {
        getSelection().selectAllChildren(source);
      }
    });
  }
}
