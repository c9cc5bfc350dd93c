// Opens the view: reads what there is, makes the maps and the panel, and keeps them in step.

import { get, Turns } from "./api.js";
import { Compare } from "./compare.js";
import { Edits } from "./edits.js";
import { showLayers } from "./layers.js";
import { countAreas, showLegend, showRamps } from "./legend.js";
import { MapPane, NavigationControl, ScaleControl, together } from "./maps.js";
import { Objects } from "./objects.js";
import { Places } from "./places.js";
import { element, say, warn } from "./words.js";

const state = {
  view: null, // what the server opened
  scene: 0,
  facts: null, // layers of the scene
  other: null, // those of the other run
  layers: {}, // by id: visible, opacity
  compare: "off",
  tool: null, // name of the editing tool that takes clicks
  layerList() {
    return this.facts.changes ? [...this.facts.rasters, this.facts.changes] : this.facts.rasters;
  },
};

const panes = { a: new MapPane("map-a", "Map") }; // b is made when maps are first compared
panes.a.map.addControl(new NavigationControl({ showCompass: false }), "top-right");
panes.a.map.addControl(new ScaleControl({ maxWidth: 120 }), "bottom-left");
const objects = new Objects(state, panes);
const places = new Places(state, panes, objects);
let compare;
let edits = null; // tools that correct the map, with --edit
let align = null; // brings the second map to the ground of the first
let footprints = null;
const opening = new Turns();

// Bring both maps to what the panel says.
function apply() {
  for (const layer of [...state.layerList(), ...state.facts.polygons]) {
    const known = state.layers[layer.id];
    panes.a.setVisible(layer.id, known.visible);
    panes.a.setOpacity(layer.id, known.opacity);
    if (!panes.b) continue;
    panes.b.setVisible(layer.id, state.compare === "image" ? layer.id === "imagery" : known.visible);
    panes.b.setOpacity(layer.id, known.opacity);
  }
  showRamps(state);
  hint();
}

function hint() {
  const box = document.getElementById("hint");
  const zoom = panes.a.map.getZoom();
  const far = state.facts.polygons.some((entry) => state.layers[entry.id].visible && zoom < entry.min_zoom - 0.01);
  const coarse = state.facts.rasters.some((entry) => state.layers[entry.id].visible && zoom < entry.min_zoom - 0.01);
  const words = [far && "polygons", coarse && "imagery without overviews"].filter(Boolean).join(" and ");
  box.hidden = !words;
  box.textContent = words ? `Zoom in to see ${words}.` : "";
}

async function openLeft(shown) {
  if (shown && !panes.b) {
    panes.b = new MapPane("map-b", "Map on the left of the divider");
    panes.b.map.on("error", unreadable);
    align = together(panes.a, panes.b);
    align();
    objects.listen(panes.b);
    await panes.b.ready();
  }
  if (shown) {
    align();
    await drawLeft();
  }
  apply();
}

// The map on the left shows the other run only when runs are compared.
async function drawLeft() {
  const runs = state.compare === "runs" && state.other;
  await (runs ? panes.b.show("b", state.scene, state.other) : panes.b.show("a", state.scene, state.facts));
}

async function openScene(scene, { fly = true } = {}) {
  document.body.dataset.state = "loading";
  const latest = opening.take(); // of two scenes that are chosen in a row the second is shown
  const facts = await get(`api/a/${scene}`).catch((error) => {
    if (latest()) throw error;
  });
  const other = state.view.compare ? await get(`api/b/${scene}`).catch(() => null) : null;
  if (!latest()) return;
  Object.assign(state, { scene, facts, other });
  const classes = state.facts.rasters.find((entry) => entry.id === "classes");
  if (state.other?.legend.length && classes) {
    state.facts.changes = { id: "changes", label: "Changes", kind: "changes", opacity: 0.9, visible: true, bounds: classes.bounds, min_zoom: 0, max_zoom: classes.max_zoom, version: `${state.facts.version}-${state.other.version}` };
  }
  state.facts.polygons.forEach((entry, place) => (entry.visible = place === 0));
  for (const layer of [...state.layerList(), ...state.facts.polygons]) {
    state.layers[layer.id] ??= { visible: layer.visible, opacity: layer.opacity ?? 1 };
  }
  objects.clear();
  if (fly) panes.a.fit(state.facts.bounds, { animate: false, padding: padding(), maxZoom: 21 });
  await panes.a.show("a", scene, state.facts);
  if (panes.b && latest()) await drawLeft();
  if (!latest()) return;
  if (footprints) panes.a.showFootprints(footprints);
  if (edits) await edits.load();
  if (!latest()) return;
  showLayers(state, apply);
  showLegend(state);
  showFacts();
  apply();
  await Promise.all([places.load(), countAreas(state, panes.a.map)]);
  if (latest()) document.body.dataset.state = "ready";
}

function padding() {
  return matchMedia("(max-width: 720px)").matches ? { top: 30, left: 20, right: 20, bottom: innerHeight * 0.5 } : 40;
}

function showFacts() {
  const body = document.querySelector("#facts tbody");
  body.replaceChildren(
    ...state.facts.facts.map(([name, text]) =>
      element("tr", {}, element("th", { textContent: name, scope: "row" }), element("td", { textContent: text })),
    ),
  );
  document.getElementById("notes").replaceChildren(...state.facts.notes.map((text) => element("li", { textContent: text })));
  document.getElementById("facts-section").hidden = !state.facts.facts.length && !state.facts.notes.length;
}

async function openArchive() {
  document.getElementById("scenes").hidden = false;
  const select = document.getElementById("scene");
  for (const scene of state.view.scenes) {
    const done = scene.state === "done";
    select.append(element("option", { value: scene.id, textContent: done ? scene.name : `${scene.name} (${scene.state})`, disabled: !done }));
  }
  select.addEventListener("change", () => openScene(Number(select.value)).catch(failed));
  footprints = await get("api/footprints");
  panes.a.map.on("click", (event) => {
    if (state.tool || !panes.a.map.getLayer("footprints-fill")) return;
    const hit = panes.a.map.queryRenderedFeatures(event.point, { layers: ["footprints-fill"] })[0];
    if (!hit || hit.properties.state !== "done" || hit.id === state.scene) return;
    select.value = String(hit.id);
    openScene(Number(hit.id), { fly: panes.a.map.getZoom() < 12 }).catch(failed);
  });
}

function keys() {
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || !state.facts) return;
    const typing = event.target.matches("input:not([type=checkbox]):not([type=radio]), select, textarea");
    if (typing && event.key !== "Escape") return;
    if (edits?.key(event)) return;
    const onMap = event.target.matches("canvas");
    const actions = {
      n: () => places.step(1),
      p: () => places.step(-1),
      c: () => compare.next(),
      f: () => panes.a.fly(state.facts.bounds),
      Escape: () => objects.clear(),
      Enter: onMap ? () => objects.middle() : undefined,
    };
    if (!actions[event.key]) return;
    actions[event.key]();
    if (event.key === "Enter") event.preventDefault();
  });
}

function failed(error) {
  document.body.dataset.state = "failed";
  warn(error.status === 403 ? error.message : `The map cannot be shown: ${error.message}`);
}

function unreadable(event) {
  if (event.error?.status >= 400 && event.error.status !== 404) warn("A layer cannot be read; the terminal says why.");
}

function follow() {
  const report = () => {
    const { lng, lat } = panes.a.map.getCenter();
    Object.assign(panes.a.container.dataset, { lon: lng, lat, zoom: panes.a.map.getZoom() });
  };
  panes.a.map.on("move", report);
  panes.a.map.on("moveend", () => {
    hint();
    countAreas(state, panes.a.map);
  });
  panes.a.map.on("idle", () => (panes.a.container.dataset.idle = String(Number(panes.a.container.dataset.idle ?? 0) + 1)));
  panes.a.map.on("error", unreadable);
  report();
}

async function start() {
  const toggle = document.getElementById("panel-toggle");
  toggle.addEventListener("click", () => {
    const folded = document.getElementById("panel").classList.toggle("folded");
    toggle.setAttribute("aria-expanded", String(!folded));
  });
  state.view = await get("api/view");
  document.title = `${state.view.title} · geoseg`;
  document.getElementById("title").textContent = state.view.title;
  compare = new Compare(state, panes, (shown) => openLeft(shown).catch(failed));
  keys();
  if (state.view.archive) await openArchive();
  const first = state.view.scenes.find((scene) => scene.state === "done");
  if (!first) return warn("No scene of this archive is done yet.");
  await panes.a.ready();
  follow();
  if (state.view.edit) edits = new Edits(state, panes, objects, () => openScene(state.scene, { fly: false }));
  await openScene(first.id);
  say(`${state.view.title} is open`);
}

start().catch(failed);
