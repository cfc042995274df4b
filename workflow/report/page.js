// What a mark stands for beside the pointer, with the molecule drawn where the page has a drawing.
const tip = document.getElementById("tip");
document.addEventListener("pointermove", (event) => {
  const mark = event.target.closest("[data-tip]");
  tip.hidden = !mark;
  if (!mark) return;
  tip.textContent = mark.dataset.tip;
  const drawing = mark.dataset.molecule &&
    document.querySelector('template[data-drawing="' + CSS.escape(mark.dataset.molecule) + '"]');
  if (drawing) tip.prepend(drawing.content.cloneNode(true));
  const room = 14, box = tip.getBoundingClientRect();
  const right = event.clientX + room + box.width > innerWidth;
  const below = event.clientY + room + box.height > innerHeight;
  tip.style.left = Math.max(4, right ? event.clientX - room - box.width : event.clientX + room) + "px";
  tip.style.top = Math.max(4, below ? event.clientY - room - box.height : event.clientY + room) + "px";
});

// A click on a heading sorts its table by that column, a second click the other way round.
function sortValue(cell) {
  const text = cell.dataset.sort ?? cell.textContent.replace(/−/g, "-").replace(/,/g, "");
  const value = parseFloat(text);
  return Number.isNaN(value) ? text.toLowerCase() : value;
}
function compare(a, b) {
  if (typeof a === typeof b) return a < b ? -1 : a > b ? 1 : 0;
  return typeof a === "number" ? -1 : 1; // numbers before words and dashes
}
document.querySelectorAll("th button").forEach((button) => button.addEventListener("click", () => {
  const heading = button.closest("th"), body = button.closest("table").tBodies[0];
  const column = heading.cellIndex, up = heading.getAttribute("aria-sort") !== "ascending";
  for (const other of heading.parentNode.cells) other.removeAttribute("aria-sort");
  heading.setAttribute("aria-sort", up ? "ascending" : "descending");
  const rows = [...body.rows].map((row) => [sortValue(row.cells[column]), row]);
  rows.sort((a, b) => (up ? 1 : -1) * compare(a[0], b[0]));
  for (const [, row] of rows) body.append(row);
}));
