// Polygons: hover, choose, attributes, search by id.

import { get, Turns } from "./api.js";
import { wrapped } from "./maps.js";
import { certainty, element, say, value, warn } from "./words.js";

export class Objects {
  constructor(state, panes) {
    this.state = state;
    this.panes = panes;
    this.chosen = null;
    this.hovered = null;
    this.listeners = [];
    this.turns = new Turns();
    this.listen(panes.a);
    document.getElementById("search").addEventListener("submit", (event) => {
      event.preventDefault();
      this.find(document.getElementById("search-id").value.trim());
    });
  }

  onChosen(listener) {
    this.listeners.push(listener);
  }

  get layer() {
    const all = this.state.facts?.polygons ?? [];
    return (all.find((entry) => this.state.layers[entry.id].visible) ?? all[0])?.id ?? null;
  }

  entry(layer) {
    return this.state.facts?.polygons.find((one) => one.id === layer);
  }

  listen(pane) {
    const tip = document.getElementById("tip");
    pane.map.on("mousemove", (event) => {
      const feature = this.under(pane, event.point);
      this.hover(pane, feature);
      pane.map.getCanvas().style.cursor = feature ? "pointer" : "";
      tip.hidden = !feature;
      if (!feature) return;
      const { class_name: name, confidence } = feature.properties;
      tip.textContent = [name, certainty(confidence)].filter(Boolean).join(", ");
      tip.style.left = `${event.point.x + 14}px`;
      tip.style.top = `${event.point.y + 14}px`;
    });
    pane.map.on("mouseout", () => {
      this.hover(pane, null);
      tip.hidden = true;
    });
    pane.map.on("click", (event) => {
      if (this.state.tool) return;
      const feature = this.under(pane, event.point);
      const layer = feature?.layer.id.replace(/-fill$/, "");
      if (feature && this.entry(layer)?.searched === false) this.pick(layer, event.lngLat, pane.run);
      else if (feature) this.choose(layer, Number(feature.id), { run: pane.run });
      else if (this.layer && this.state.layers[this.layer].visible) this.clear();
    });
  }

  under(pane, point) {
    const layers = (this.state.facts?.polygons ?? []).map((entry) => `${entry.id}-fill`).filter((id) => pane.map.getLayer(id));
    if (!layers.length) return null;
    return pane.map.queryRenderedFeatures(point, { layers })[0] ?? null;
  }

  hover(pane, feature) {
    const next = feature ? { source: feature.source, sourceLayer: feature.sourceLayer, id: feature.id } : null;
    if (this.hovered && pane.map.getSource(this.hovered.source)) pane.map.setFeatureState(this.hovered, { hover: false });
    if (next) pane.map.setFeatureState(next, { hover: true });
    this.hovered = next;
  }

  mark(on) {
    if (!this.chosen) return;
    const key = { source: `${this.chosen.layer}-source`, sourceLayer: "polygons", id: this.chosen.row };
    for (const pane of Object.values(this.panes)) {
      if (pane.run === this.chosen.run && pane.map.getSource(key.source)) pane.map.setFeatureState(key, { chosen: on });
    }
  }

  // run: "b" for a polygon of the other run
  async choose(layer, row, { fly = false, run = "a" } = {}) {
    const latest = this.turns.take();
    try {
      const found = await get(`api/${run}/${this.state.scene}/${layer}/polygon?row=${row}`);
      if (latest()) this.shown(layer, found, { fly, run });
    } catch (error) {
      if (latest()) warn(error.message);
    }
  }

  // Choose the polygon under the middle of the map.
  async middle() {
    if (this.layer) await this.pick(this.layer, this.panes.a.map.getCenter());
  }

  // Choose the polygon at a place: one in tiles that are too many to be searched is found by it only.
  async pick(layer, { lng, lat }, run = "a") {
    const latest = this.turns.take();
    try {
      const found = await get(`api/${run}/${this.state.scene}/${layer}/at?lon=${wrapped(lng)}&lat=${lat}`);
      if (latest()) this.shown(layer, found, { run });
    } catch {
      if (latest()) say("No polygon at that place");
    }
  }

  shown(layer, found, { fly = false, run = "a" } = {}) {
    this.mark(false);
    this.chosen = { run, layer, row: found.row, bounds: found.bounds, attributes: found.attributes };
    this.mark(true);
    const body = document.querySelector("#attributes tbody");
    body.replaceChildren();
    const rows = [["id", found.row], ...Object.entries(found.attributes)];
    for (const [name, known] of rows) {
      const head = element("th", { textContent: name, scope: "row" });
      body.append(element("tr", {}, head, element("td", { textContent: name === "id" ? String(known) : value(name, known) })));
    }
    document.getElementById("attributes").hidden = false;
    document.getElementById("object-empty").hidden = true;
    const title = `Object ${found.row}${run === "b" ? " of the other run" : ""}`;
    document.getElementById("object-title").textContent = title;
    say(`${title}: ${found.attributes.class_name ?? ""} ${value("area_m2", found.attributes.area_m2)}`);
    if (fly) this.panes.a.fly(found.bounds);
    for (const listener of this.listeners) listener(this.chosen);
  }

  clear() {
    this.turns.take();
    this.mark(false);
    this.chosen = null;
    document.getElementById("attributes").hidden = true;
    document.getElementById("object-empty").hidden = false;
    document.getElementById("object-title").textContent = "Object";
    for (const listener of this.listeners) listener(null);
  }

  async find(text) {
    if (!/^[0-9]{1,15}$/.test(text)) return warn("An id is a whole number.");
    if (this.entry(this.layer)?.searched === false) {
      return warn("Ids are not searched: the tiles of these polygons are too large a file. Click on a polygon instead.");
    }
    const fields = this.entry(this.layer)?.fields ?? [];
    const asked = fields.includes("object_id") ? ["object_id", "row"] : ["row"];
    const [layer, latest] = [this.layer, this.turns.take()];
    for (const name of asked) {
      try {
        const found = await get(`api/a/${this.state.scene}/${layer}/polygon?${name}=${text}`);
        return latest() ? this.shown(layer, found, { fly: true }) : undefined;
      } catch (error) {
        if (!latest()) return undefined;
        if (error.status !== 404) return warn(error.message);
      }
    }
    return warn(`There is no object ${text}.`);
  }
}
