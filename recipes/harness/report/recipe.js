"use strict";
// Each name of a legend turns an arm's band on and off, in all panels of it.
for (const legend of document.querySelectorAll(".legend")) {
  const figure = legend.closest("figure");
  for (const button of legend.querySelectorAll("button")) {
    const show = () => {
      const on = button.getAttribute("aria-pressed") === "true";
      for (const arm of figure.querySelectorAll(".plot .arm")) {
        if (arm.dataset.arm !== button.dataset.arm) continue;
        arm.classList.toggle("on", on);
        if (on) arm.parentNode.append(arm);
      }
    };
    button.addEventListener("click", () => {
      const on = button.getAttribute("aria-pressed") === "true";
      button.setAttribute("aria-pressed", String(!on));
      show();
    });
    show();
  }
}
for (const button of document.querySelectorAll(".command button")) {
  button.hidden = false;
  button.addEventListener("click", async () => {
    const code = button.parentNode.querySelector("code");
    try {
      await navigator.clipboard.writeText(code.textContent);
      button.textContent = "Copied";
      setTimeout(() => { button.textContent = "Copy"; }, 2000);
    } catch {
      getSelection().selectAllChildren(code);
      button.textContent = "Selected";
    }
  });
}
// Paper has no clicks.
addEventListener("beforeprint", () => {
  for (const closed of document.querySelectorAll("details:not([open])")) {
    closed.open = true;
    closed.dataset.closed = "";
  }
});
addEventListener("afterprint", () => {
  for (const opened of document.querySelectorAll("details[data-closed]")) {
    opened.open = false;
    delete opened.dataset.closed;
  }
});
