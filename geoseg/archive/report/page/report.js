"use strict";
(() => {
  const table = document.getElementById("scenes");
  if (!table) return;
  const body = table.tBodies[0];
  const rows = Array.from(body.rows);
  const search = document.getElementById("search");
  const boxes = Array.from(document.querySelectorAll("input[data-state]"));
  const shown = document.getElementById("shown");
  const words = rows.map((row) => row.textContent.toLowerCase());

  const filter = () => {
    const wanted = search.value.trim().toLowerCase();
    const states = new Set(boxes.filter((box) => box.checked).map((box) => box.dataset.state));
    let count = 0;
    rows.forEach((row, index) => {
      row.hidden = !states.has(row.dataset.state) || !words[index].includes(wanted);
      count += !row.hidden;
    });
    shown.textContent = `${count.toLocaleString("en")} of ${rows.length.toLocaleString("en")} rows`;
  };
  search.addEventListener("input", filter);
  boxes.forEach((box) => box.addEventListener("change", filter));

  const value = (row, column) => {
    const cell = row.cells[column];
    return cell.dataset.value === undefined ? cell.textContent.trim() : cell.dataset.value;
  };
  const compare = (one, other, number) => {
    if (number) {
      // what has no number comes last, whichever way the rest is sorted
      if (one === "" || other === "") return (one === "") - (other === "");
      return Number(one) - Number(other);
    }
    return one.localeCompare(other, "en", { numeric: true });
  };
  Array.from(table.tHead.rows[0].cells).forEach((head, column) => {
    head.querySelector("button").addEventListener("click", () => {
      const number = head.classList.contains("num");
      const before = head.getAttribute("aria-sort");
      const down = before ? before === "ascending" : number;
      Array.from(table.tHead.rows[0].cells).forEach((cell) => cell.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", down ? "descending" : "ascending");
      const keyed = rows.map((row, index) => [value(row, column), index, row]);
      keyed.sort((a, b) => {
        const order = compare(a[0], b[0], number);
        const empty = number && (a[0] === "" || b[0] === "");
        return (down && !empty ? -order : order) || a[1] - b[1];
      });
      body.append(...keyed.map((entry) => entry[2]));
    });
  });

  const spots = new Map();
  document.querySelectorAll(".map a[href^='#s']").forEach((link) => {
    const key = link.getAttribute("href").slice(1);
    if (!spots.has(key)) spots.set(key, []);
    spots.get(key).push(link.firstElementChild);
  });
  const light = (row, on) => (spots.get(row.id) || []).forEach((spot) => spot.classList.toggle("lit", on));
  rows.forEach((row) => {
    row.addEventListener("mouseenter", () => light(row, true));
    row.addEventListener("mouseleave", () => light(row, false));
  });
  filter();
})();
