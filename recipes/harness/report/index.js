"use strict";
// The filter stands in the address, so that it can be kept and sent.
const form = document.querySelector(".filter");
const search = form.querySelector("input");
const groups = [...form.querySelectorAll("fieldset")];
const recipes = [...document.querySelectorAll(".recipe")];
const status = document.querySelector(".status");

const chosen = (group) =>
  group.querySelector("[aria-pressed=true]").dataset.value;

const choose = (group, value) => {
  const buttons = [...group.querySelectorAll("button")];
  const wanted = buttons.find((b) => b.dataset.value === value) ?? buttons[0];
  for (const button of buttons) {
    button.setAttribute("aria-pressed", String(button === wanted));
  }
};

const show = () => {
  const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
  const [topic, word] = groups.map(chosen);
  let count = 0;
  for (const recipe of recipes) {
    let claims = 0;
    for (const line of recipe.querySelectorAll(".lines li")) {
      line.hidden = Boolean(word) && line.dataset.word !== word;
      claims += !line.hidden;
    }
    const text = recipe.textContent.toLowerCase();
    recipe.hidden = !(claims && words.every((w) => text.includes(w)) &&
      (!topic || recipe.dataset.topic === topic));
    count += !recipe.hidden;
  }
  status.textContent = count === recipes.length
    ? `All ${count} recipes` : `${count} of ${recipes.length} recipes`;
};

const keep = () => {
  const state = new URLSearchParams();
  if (search.value) state.set("q", search.value);
  for (const group of groups) {
    if (chosen(group)) state.set(group.dataset.name, chosen(group));
  }
  const place = state.size ? `#${state}` : location.pathname;
  history.replaceState(null, "", place);
};

const restore = () => {
  const state = new URLSearchParams(location.hash.slice(1));
  search.value = state.get("q") ?? "";
  for (const group of groups) choose(group, state.get(group.dataset.name) ?? "");
  show();
};

form.addEventListener("submit", (event) => event.preventDefault());
search.addEventListener("input", () => { show(); keep(); });
for (const group of groups) {
  group.addEventListener("click", (event) => {
    const button = event.target.closest("button");
    if (!button) return;
    choose(group, button.dataset.value);
    show();
    keep();
  });
}
addEventListener("hashchange", restore);
addEventListener("keydown", (event) => {
  if (event.key === "/" && event.target !== search) {
    event.preventDefault();
    search.focus();
  } else if (event.key === "Escape" && event.target === search) {
    search.value = "";
    show();
    keep();
  }
});
form.hidden = false;
restore();
