// Sorts tables by a click on a header, filters by the name of a class, and shows what a threshold would mean. Without it
// the page is whole, only unsorted.
"use strict";
(() => {
  const collator = new Intl.Collator(undefined, { numeric: true });
  const keyOf = cell => ("value" in cell.dataset ? Number(cell.dataset.value) : cell.textContent.trim());

  function compare(a, b) {
    if (typeof a === "string") return collator.compare(a, b);
    return a - b;
  }

  function sort(table, column, order) {
    const rows = [...table.tBodies[0].rows].sort((a, b) => a.dataset.place - b.dataset.place);
    if (order) {
      const sign = order === "ascending" ? 1 : -1;
      const keyed = rows.map(row => [keyOf(row.cells[column]), row]);
      const undefinedLast = (a, b) => Number.isNaN(a) - Number.isNaN(b);
      keyed.sort(([a], [b]) => undefinedLast(a, b) || sign * (Number.isNaN(a) ? 0 : compare(a, b)));
      rows.splice(0, rows.length, ...keyed.map(([, row]) => row));
    }
    table.tBodies[0].append(...rows);
  }

  for (const table of document.querySelectorAll("table.sortable")) {
    const headers = [...table.tHead.rows[0].cells];
    [...table.tBodies[0].rows].forEach((row, place) => { row.dataset.place = place; });
    headers.forEach((header, column) => {
      const cell = table.tBodies[0].rows[0]?.cells[column];
      // Numbers are wanted from the top, names from A; a third click gives the first order back.
      const orders = cell && "value" in cell.dataset ? ["descending", "ascending"] : ["ascending", "descending"];
      const button = document.createElement("button");
      button.type = "button";
      button.append(...header.childNodes);
      header.append(button);
      button.addEventListener("click", () => {
        const order = orders[orders.indexOf(header.getAttribute("aria-sort")) + 1];
        headers.forEach(other => other.removeAttribute("aria-sort"));
        if (order) header.setAttribute("aria-sort", order);
        sort(table, column, order);
      });
    });
  }

  const chooser = document.querySelector(".chooser");
  if (chooser) {
    const points = JSON.parse(chooser.dataset.points), slider = chooser.querySelector("input");
    const positives = Number(chooser.dataset.positives), negatives = Number(chooser.dataset.negatives);
    const count = value => Number.isInteger(value) ? value.toLocaleString("en") : value.toPrecision(3);
    function fraction(part, whole) {
      if (!whole) return "n/a";
      const text = (part / whole).toFixed(3);
      if (text === "1.000" && part < whole) return ">0.999";
      return text === "0.000" && part > 0 ? "<0.001" : text;
    }
    function show() {
      const [threshold, tp, fp] = points[slider.value];
      const shown = {
        threshold, recall: fraction(tp, positives), precision: fraction(tp, tp + fp),
        tp: count(tp), fn: count(positives - tp), fp: count(fp), tn: count(negatives - fp),
      };
      for (const part of chooser.querySelectorAll("[data-shown]")) part.textContent = shown[part.dataset.shown];
      slider.setAttribute("aria-valuetext", threshold);
    }
    slider.addEventListener("input", show);
    chooser.hidden = false;
    show();
  }

  const find = document.querySelector(".find");
  if (!find) return;
  const input = find.querySelector("input"), said = find.querySelector("output");
  const parts = [...document.querySelectorAll("[data-classes]")];
  function filter() {
    const wanted = input.value.trim().toLowerCase();
    for (const part of parts) part.hidden = !part.dataset.classes.toLowerCase().includes(wanted);
    for (const whole of document.querySelectorAll("details.all")) if (wanted) whole.open = true;
    for (const group of document.querySelectorAll(".filtered"))
      group.classList.toggle("empty", !group.querySelector("[data-classes]:not([hidden])"));
    const rows = [...document.getElementById("every-class").tBodies[0].rows];
    said.textContent = wanted ? `${rows.filter(row => !row.hidden).length} of ${rows.length}` : "";
  }
  input.addEventListener("input", filter);
  find.hidden = false;
  filter();  // A browser that goes back to the page keeps what was typed.
})();
