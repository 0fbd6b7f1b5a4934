// A column's name sorts the table by it, and once more the other way round.
for (const table of document.querySelectorAll("table.trials")) {
  const body = table.tBodies[0];
  const heads = [...table.tHead.rows[0].cells];
  heads.forEach((head, place) => {
    const button = document.createElement("button");
    button.type = "button";
    button.append(...head.childNodes);
    head.append(button);
    const key = (row) => row.cells[place].dataset.key;
    button.addEventListener("click", () => {
      const sign = head.getAttribute("aria-sort") === "ascending" ? -1 : 1;
      for (const other of heads) other.removeAttribute("aria-sort");
      head.setAttribute("aria-sort", sign > 0 ? "ascending" : "descending");
      const rows = [...body.rows];
      // What has no figure stands last, whichever way.
      const [none, some] = [true, false].map(
        (missing) => rows.filter((row) => (key(row) === "inf") === missing));
      const figures = some.every((row) => !isNaN(key(row)));
      some.sort((a, b) => sign * (figures
        ? key(a) - key(b) : key(a).localeCompare(key(b))));
      body.append(...some, ...none);
    });
  });
}
