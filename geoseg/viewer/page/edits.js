// Corrections: draw an area or click an object, give it a class, undo, redo, save. Every change names the revision it was
// made on; if another browser was faster, the server does nothing and says so.

import { get, post, Turns } from "./api.js";
import { element, say, warn } from "./words.js";

const NOTHING = { type: "FeatureCollection", features: [] };

export class Edits {
  constructor(state, panes, objects, redraw) {
    Object.assign(this, { state, panes, objects, redraw });
    this.corners = []; // of the area or line that is being drawn
    this.clicks = []; // on the object that is being outlined
    this.collected = []; // ids of objects that will be merged
    this.outline = null; // what may be applied, GeoJSON in degrees
    this.answer = { revision: 0, areas: NOTHING };
    this.chosen = null;
    this.busy = false; // a change is under way
    this.drawing = new Turns(); // of what is drawn
    this.asking = new Turns(); // of the map's state
    this.build();
    objects.onChosen((chosen) => {
      this.chosen = chosen?.run === "a" ? chosen : null; // the other run is not corrected
      this.refresh();
    });
    panes.a.map.on("click", (event) => this.clicked(event));
    panes.a.map.on("contextmenu", (event) => this.clicked(event, true));
    panes.a.map.doubleClickZoom.disable();
  }

  build() {
    const box = document.getElementById("edit");
    const tools = element("div", { className: "segmented", id: "tools" });
    tools.setAttribute("role", "radiogroup");
    tools.setAttribute("aria-label", "Tool");
    for (const [name, label] of [["", "Choose"], ["area", "Draw"], ["line", "Line"], ["clicks", "Click"]]) {
      const input = element("input", { type: "radio", name: "tool", value: name, checked: !name });
      input.addEventListener("change", () => this.take(name));
      tools.append(element("label", {}, input, element("span", { textContent: label })));
    }
    this.help = element("p", { className: "quiet", id: "edit-help" });
    this.classes = element("select", { id: "edit-class" });
    this.buttons = {};
    const button = (name, label, action) => {
      this.buttons[name] = element("button", { type: "button", textContent: label, id: `edit-${name}` });
      this.buttons[name].addEventListener("click", action);
      return this.buttons[name];
    };
    this.count = element("p", { className: "quiet", id: "edit-count" });
    box.replaceChildren(
      element("h2", { textContent: "Correct" }), tools, this.help,
      element("label", { className: "field" }, "Class", this.classes),
      element("div", { className: "row tools" },
        button("paint", "Paint", () => this.apply({ kind: "repaint", geometry: this.outline, class_code: this.code })),
        button("add", "As object", () => this.apply({ kind: "add_object", geometry: this.outline, class_code: this.code })),
        button("reshape", "Replace chosen", () => this.apply({ kind: "reshape_object", geometry: this.outline, ids: [this.objectId], layer: "objects" })),
        button("clear", "Discard", () => {
          this.collected = [];
          this.discard();
        })),
      element("div", { className: "row tools" },
        button("delete", "Delete chosen", () => this.apply({ kind: "delete_object", ids: [this.objectId], layer: "objects" })),
        button("class", "Set class of chosen", () => this.apply({ kind: "set_class", ids: [this.chosenId], layer: this.chosen.layer, class_code: this.code }))),
      element("div", { className: "row tools" },
        button("split", "Split chosen", () => this.apply({ kind: "split_object", geometry: this.outline, ids: [this.objectId], layer: "objects" })),
        button("move", "Move vertex", () => this.apply({ kind: "move_vertex", geometry: this.outline, layer: this.chosen?.layer ?? this.objects.layer }))),
      element("div", { className: "row tools" },
        button("collect", "Collect chosen", () => this.collect()),
        button("merge", "Merge", () => this.apply({ kind: "merge_objects", ids: this.collected, layer: "objects" }))),
      element("div", { className: "row tools" },
        button("undo", "Undo", () => this.step("undo")),
        button("redo", "Redo", () => this.step("redo")),
        button("save", "Save", () => this.step("save"))),
      this.count,
    );
    this.buttons.save.className = "primary";
    box.hidden = false;
  }

  get code() {
    return Number(this.classes.value);
  }

  get objectId() {
    const known = this.chosen?.attributes;
    if (this.chosen?.layer === "objects") return known.object_id ?? null;
    return known?.kind === "thing" ? (known.segment_id ?? null) : null; // of a panoptic map
  }

  get chosenId() {
    return this.chosen?.layer === "objects" ? this.objectId : (this.chosen?.row ?? null);
  }

  async load() {
    const thing = this.state.facts.legend.find((entry) => !entry.background);
    const before = this.classes.value;
    this.classes.replaceChildren(...this.state.facts.legend.map((entry) => element("option", { value: entry.code, textContent: entry.name })));
    this.classes.value = before || String(thing?.code ?? this.state.facts.legend[0]?.code ?? "");
    this.collected = [];
    this.discard();
    this.answer = { revision: 0, areas: NOTHING };
    await this.read();
  }

  // Take the chosen object to those that will be merged, or out of them.
  collect() {
    const id = this.objectId;
    this.collected = this.collected.includes(id) ? this.collected.filter((one) => one !== id) : [...this.collected, id];
    say(`${this.collected.length} objects are collected: ${this.collected.join(", ")}`);
    this.refresh();
  }

  take(tool) {
    this.state.tool = tool || null;
    for (const input of document.querySelectorAll('input[name="tool"]')) input.checked = input.value === tool;
    this.panes.a.map.getCanvas().style.cursor = tool ? "crosshair" : "";
    this.discard();
  }

  discard() {
    this.drawing.take();
    this.corners = [];
    this.clicks = [];
    this.outline = null;
    this.refresh();
  }

  get line() {
    return this.outline?.type === "LineString" ? this.outline.coordinates : null;
  }

  // Enter adds the middle of the map, so that areas can be drawn without a pointer; Escape takes the last point back.
  key(event) {
    if (!this.state.tool) return false;
    if (event.key === "Enter" && event.target.matches("canvas")) {
      this.add(this.panes.a.map.getCenter(), event.shiftKey);
    } else if (event.key === "Escape") {
      (this.state.tool === "clicks" ? this.clicks : this.corners).pop();
      this.changed();
    } else {
      return false;
    }
    event.preventDefault();
    return true;
  }

  clicked(event, negative = false) {
    if (!this.state.tool) return;
    event.preventDefault();
    this.add(event.lngLat, negative || event.originalEvent.shiftKey);
  }

  add({ lng, lat }, negative) {
    if (this.state.tool !== "clicks") this.corners.push([lng, lat]);
    else this.clicks.push([lng, lat, !negative]);
    this.changed();
  }

  async changed() {
    const latest = this.drawing.take();
    if (this.state.tool !== "clicks") {
      const [drawn, area] = [this.corners, this.state.tool === "area"];
      this.outline = drawn.length < (area ? 3 : 2) ? null
        : area ? { type: "Polygon", coordinates: [[...drawn, drawn[0]]] } : { type: "LineString", coordinates: [...drawn] };
      this.refresh();
      return;
    }
    this.refresh();
    const clicks = [...this.clicks];
    if (!clicks.length) return this.discard();
    this.help.textContent = "Looking for the outline…";
    try {
      const found = await post(`clicks/${this.state.scene}`, { clicks });
      if (!latest()) return undefined; // a later click asks again
      this.outline = found.geometry;
      say(found.geometry ? "An outline was found" : "Nothing was found there");
    } catch (error) {
      if (!latest()) return undefined;
      warn(error.message);
    }
    this.refresh();
    return undefined;
  }

  async apply(edit) {
    if (await this.sent(`edits/${this.state.scene}`, edit)) {
      this.collected = [];
      this.discard();
      say(`Applied; ${this.answer.pending} corrections are not saved`);
    }
  }

  async step(step) {
    this.saving = step === "save";
    const done = await this.sent(`edits/${this.state.scene}/step`, { step });
    this.saving = false;
    this.refresh();
    if (done && step === "save") {
      await this.redraw();
      say("Saved");
    }
  }

  // Read the state of the map's corrections.
  async read() {
    const latest = this.asking.take();
    try {
      const answer = await get(`edits/${this.state.scene}`);
      if (latest()) this.answer = answer;
    } catch (error) {
      if (latest()) warn(error.message);
    }
    this.refresh();
  }

  // Ask for a change, one at a time; true if it was made and the same scene is still shown.
  async sent(path, change) {
    if (this.busy) return false;
    this.busy = true;
    const latest = this.asking.take();
    this.refresh();
    try {
      const answer = await post(path, { revision: this.answer.revision, ...change });
      if (latest()) this.answer = answer;
      return latest();
    } catch (error) {
      warn(error.message);
      // another browser was faster: show its state, keep what is drawn here
      if (error.status === 409 && latest()) await this.read();
      return false;
    } finally {
      this.busy = false;
      this.refresh();
    }
  }

  refresh() {
    const points = (this.state.tool === "clicks" ? this.clicks : this.corners.map((corner) => [...corner, true])).map(
      ([lng, lat, positive]) => ({ type: "Feature", properties: { positive }, geometry: { type: "Point", coordinates: [lng, lat] } }),
    );
    const line = this.corners.length === 2 ? [{ type: "Feature", properties: {}, geometry: { type: "LineString", coordinates: this.corners } }] : [];
    const drawn = this.outline ? [{ type: "Feature", properties: {}, geometry: this.outline }] : [];
    if (this.state.facts) this.panes.a.showDraft({ ...NOTHING, features: [...drawn, ...line, ...points] }, this.answer.areas);
    const b = this.buttons;
    const area = this.outline && !this.line;
    b.clear.disabled = !this.outline && !this.collected.length;
    b.paint.disabled = !area;
    b.add.disabled = !area || !this.answer.objects;
    b.reshape.disabled = !area || this.objectId === null;
    b.split.disabled = !this.line || this.objectId === null;
    b.move.disabled = this.line?.length !== 2;
    b.collect.disabled = this.objectId === null;
    b.collect.textContent = this.collected.includes(this.objectId) ? "Leave out chosen" : "Collect chosen";
    b.merge.disabled = this.collected.length < 2;
    b.merge.textContent = this.collected.length ? `Merge ${this.collected.length}` : "Merge";
    b.delete.disabled = this.objectId === null;
    b.class.disabled = this.chosenId === null;
    b.undo.disabled = !this.answer.can_undo;
    b.redo.disabled = !this.answer.can_redo;
    b.save.disabled = !this.answer.pending;
    if (this.busy || this.answer.refused) for (const button of Object.values(b)) button.disabled = true;
    this.count.textContent = this.saving ? "Saving…" : this.answer.pending ? `${this.answer.pending} not saved` : "All is saved.";
    this.help.textContent = this.answer.refused ? `This map cannot be corrected: ${this.answer.refused}` : {
      area: "Click the corners of an area. Esc takes the last one back.",
      line: "Draw a line across the chosen object to split it, or from a vertex to its new place. Esc takes the last point back.",
      clicks: "Click on an object; Shift or the right button on what is not of it.",
    }[this.state.tool] ?? "Choose an object on the map, or take a tool.";
  }
}
