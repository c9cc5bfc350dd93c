// The divider between two maps, and the ways to compare.

import { element, say } from "./words.js";

export class Compare {
  // open: makes the second map when it is first shown, brings it to the ground of the first, and draws both
  constructor(state, panes, open) {
    this.state = state;
    this.panes = panes;
    this.open = open;
    this.divider = document.getElementById("divider");
    this.place = 50;
    const ways = [["off", "Off"], ["image", "Image | map"]];
    if (state.view.compare) ways.push(["runs", "Run | run"]);
    this.ways = ways.map(([way]) => way);
    const box = document.getElementById("compare");
    for (const [way, label] of ways) {
      const input = element("input", { type: "radio", name: "compare", value: way, checked: way === "off" });
      input.addEventListener("change", () => this.choose(way));
      box.append(element("label", {}, input, element("span", { textContent: label })));
    }
    this.listen();
  }

  choose(way) {
    this.state.compare = way;
    for (const input of document.querySelectorAll('input[name="compare"]')) input.checked = input.value === way;
    const shown = way !== "off";
    this.divider.hidden = !shown;
    document.getElementById("map-b").hidden = !shown;
    const [left, right] = [document.getElementById("side-left"), document.getElementById("side-right")];
    left.hidden = right.hidden = !shown;
    left.textContent = way === "image" ? "Image" : `${this.state.view.compare}`;
    right.textContent = way === "image" ? "Map" : `${this.state.view.title}`;
    if (way === "runs" && this.state.view.compare === this.state.view.title) {
      left.textContent += " (other run)";
      right.textContent += " (this run)";
    }
    this.move(this.place);
    this.open(shown);
    say(shown ? `Compare: ${left.textContent} on the left, ${right.textContent} on the right` : "Compare: off");
  }

  next() {
    this.choose(this.ways[(this.ways.indexOf(this.state.compare) + 1) % this.ways.length]);
  }

  move(percent) {
    this.place = Math.min(100, Math.max(0, percent));
    this.panes.a.container.style.clipPath = this.state.compare === "off" ? "none" : `inset(0 0 0 ${this.place}%)`;
    this.divider.style.left = `${this.place}%`;
    this.divider.setAttribute("aria-valuenow", Math.round(this.place));
  }

  listen() {
    const stage = document.getElementById("stage");
    const follow = (event) => {
      const box = stage.getBoundingClientRect();
      this.move((100 * (event.clientX - box.left)) / box.width);
    };
    this.divider.addEventListener("pointerdown", (event) => {
      this.divider.setPointerCapture(event.pointerId);
      this.divider.addEventListener("pointermove", follow);
    });
    this.divider.addEventListener("pointerup", () => this.divider.removeEventListener("pointermove", follow));
    this.divider.addEventListener("keydown", (event) => {
      const steps = { ArrowLeft: -2, ArrowRight: 2, PageDown: -10, PageUp: 10, Home: -100, End: 100 };
      if (!(event.key in steps)) return;
      event.preventDefault();
      this.move(this.place + steps[event.key]);
    });
  }
}
