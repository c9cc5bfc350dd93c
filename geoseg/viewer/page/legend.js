// Colours of classes and percentages, and the area of each class in view.

import { get } from "./api.js";
import { wrapped } from "./maps.js";
import { area, element, share } from "./words.js";

let running = null;

export function showLegend(state) {
  const body = document.querySelector("#legend tbody");
  body.replaceChildren();
  for (const entry of state.facts.legend) {
    const swatch = element("span", { className: entry.background ? "swatch clear" : "swatch" });
    swatch.style.background = entry.colour;
    const row = element("tr", {}, element("td", {}, swatch, entry.name), element("td"), element("td"));
    row.dataset.code = entry.code;
    body.append(row);
  }
  if (state.view.compare && state.facts.changes) {
    const swatch = element("span", { className: "swatch" });
    swatch.style.background = "#d627a0";
    const row = element("tr", {}, element("td", {}, swatch, "changed"), element("td"), element("td"));
    row.dataset.code = "changed";
    body.append(row);
  }
  document.getElementById("legend-section").hidden = !state.facts.legend.length;
}

export function showRamps(state) {
  const box = document.getElementById("ramps");
  box.replaceChildren();
  for (const raster of state.facts.rasters) {
    if (!raster.ramp || !state.layers[raster.id].visible) continue;
    const canvas = element("canvas", { width: 200, height: 1 });
    const context = canvas.getContext("2d");
    const top = raster.ramp.at(-1)[0];
    const fill = context.createLinearGradient(0, 0, 200, 0);
    for (const [percent, colour] of raster.ramp) fill.addColorStop(percent / top, colour);
    context.fillStyle = fill;
    context.fillRect(0, 0, 200, 1);
    const ends = element("div", {}, element("span", { textContent: "0" }), element("span", { textContent: raster.label }), element("span", { textContent: `${top} %` }));
    box.append(element("div", { className: "ramp" }, canvas, ends));
  }
}

export async function countAreas(state, map) {
  if (!state.facts || !state.facts.legend.length) return;
  running?.abort();
  running = new AbortController();
  const bounds = map.getBounds();
  const [west, east] = [bounds.getWest(), bounds.getEast()];
  const [clipped, around] = [(value) => Math.min(85, Math.max(-85, value)), east - west >= 360];
  const query = new URLSearchParams({
    west: around ? -180 : wrapped(west),
    south: clipped(bounds.getSouth()),
    east: around ? 180 : wrapped(east),
    north: clipped(bounds.getNorth()),
  });
  let counted;
  try {
    counted = await get(`api/a/${state.scene}/areas?${query}`, running.signal);
  } catch (error) {
    if (error.name !== "AbortError") document.getElementById("counted").textContent = "Areas could not be counted.";
    return;
  }
  const whole = Object.values(counted.areas).reduce((sum, m2) => sum + m2, 0);
  for (const row of document.querySelectorAll("#legend tbody tr")) {
    const m2 = row.dataset.code === "changed" ? counted.changed_m2 : (counted.areas[row.dataset.code] ?? 0);
    row.children[1].textContent = area(m2);
    row.children[2].textContent = share(m2, whole);
  }
  document.getElementById("counted").textContent = counted.pixel_m === null
    ? "The map is not in view."
    : `Counted ${counted.full ? "at the map's own resolution" : `on samples ${counted.pixel_m.toPrecision(2)} m apart`}.`;
}
