// The least certain places, the worst first, and the walk from one to the next.

import { get, Turns } from "./api.js";
import { area, certainty, element, say } from "./words.js";

export class Places {
  constructor(state, panes, objects) {
    this.state = state;
    this.panes = panes;
    this.objects = objects;
    this.list = document.getElementById("places-list");
    this.at = -1;
    this.turns = new Turns();
    document.getElementById("next").addEventListener("click", () => this.step(1));
    document.getElementById("previous").addEventListener("click", () => this.step(-1));
    document.getElementById("least-m2").addEventListener("change", () => this.load());
  }

  async load() {
    const latest = this.turns.take();
    const least = Math.max(0, Number(document.getElementById("least-m2").value) || 0);
    const found = await get(`api/a/${this.state.scene}/least?most=200&least_m2=${Math.min(least, 1e12)}`).catch(() => ({ places: [] }));
    if (!latest()) return;
    this.layer = found.layer;
    this.places = found.places;
    this.at = -1;
    this.list.replaceChildren(
      ...this.places.map((place, index) => {
        const name = place.attributes.class_name ?? "cell";
        const button = element(
          "button", { type: "button" },
          element("span", { textContent: index + 1 }),
          element("span", { textContent: name }),
          element("span", { textContent: certainty(place.attributes.confidence) }),
          element("span", { textContent: area(place.attributes.area_m2) }),
        );
        button.addEventListener("click", () => this.go(index));
        return element("li", {}, button);
      }),
    );
    document.getElementById("places-empty").hidden = this.places.length > 0;
    for (const id of ["next", "previous"]) document.getElementById(id).disabled = !this.places.length;
  }

  step(by) {
    if (!this.places?.length) return;
    this.go(Math.min(this.places.length - 1, Math.max(0, this.at + by)));
  }

  go(index) {
    const place = this.places[index];
    this.at = index;
    for (const [number, item] of [...this.list.children].entries()) {
      const current = number === index;
      item.firstChild.setAttribute("aria-current", String(current));
      if (current) item.scrollIntoView({ block: "nearest" });
    }
    this.panes.a.fly(place.bounds, 21);
    if (this.layer) this.objects.choose(this.layer, place.row);
    say(`Place ${index + 1} of ${this.places.length}: ${place.attributes.class_name ?? "cell"}, ${certainty(place.attributes.confidence)} certain`);
  }
}
