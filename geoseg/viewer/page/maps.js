// The two maps: the one that is always there (a), and the one that is uncovered by the divider (b).

import * as maplibregl from "./vendor/maplibre-gl.mjs";
import { absolute, headers } from "./api.js";

const still = matchMedia("(prefers-reduced-motion: reduce)");
const dark = matchMedia("(prefers-color-scheme: dark)");

const GROUND = { light: "#e9ebed", dark: "#15181b" };
const STATES = ["match", ["get", "state"], "done", "#14705a", "failed", "#c0392b", "#8a939b"];

function background() {
  return dark.matches ? GROUND.dark : GROUND.light;
}

// Bring a longitude to the range from -180 to 180.
export function wrapped(longitude) {
  return Math.abs(longitude) <= 180 ? longitude : ((((longitude + 180) % 360) + 360) % 360) - 180;
}

export function tilesOf(run, scene, layer, revision) {
  return absolute(`tiles/${run}/${scene}/${layer}/{z}/{x}/{y}?r=${revision}`).replaceAll("%7B", "{").replaceAll("%7D", "}");
}

export class MapPane {
  constructor(container, label) {
    this.container = document.getElementById(container);
    this.container.hidden = false; // a map takes its size from its container
    this.map = new maplibregl.Map({
      container,
      style: this.emptyStyle(),
      attributionControl: false,
      dragRotate: false,
      pitchWithRotate: false,
      touchPitch: false,
      maxZoom: 24,
      maxPitch: 0,
      fadeDuration: 0,
      renderWorldCopies: false,
      transformRequest: (url) => ({ url, headers: url.startsWith(location.origin) ? headers : {} }),
    });
    this.map.touchZoomRotate.disableRotation();
    this.map.keyboard.disableRotation();
    this.map.getCanvas().setAttribute("aria-label", label);
    this.map.getCanvas().setAttribute("role", "application");
    dark.addEventListener("change", () => {
      if (this.map.getLayer("ground")) this.map.setPaintProperty("ground", "background-color", background());
    });
  }

  emptyStyle() {
    return { version: 8, sources: {}, layers: [{ id: "ground", type: "background", paint: { "background-color": background() } }] };
  }

  ready() {
    return this.map.loaded() ? Promise.resolve() : new Promise((done) => this.map.once("load", done));
  }

  // Show a scene of a run: its rasters from the lowest to the highest, then polygons.
  // A new version of the files makes the map ask again.
  async show(run, scene, facts) {
    const style = this.emptyStyle();
    for (const raster of facts.rasters) addRaster(style, run, scene, raster, facts.version);
    if (facts.changes) addRaster(style, "a", scene, facts.changes, facts.changes.version);
    for (const polygons of facts.polygons) addPolygons(style, run, scene, polygons, facts.legend, facts.version);
    this.map.setStyle(style, { diff: false });
    this.run = run; // whose polygons a click chooses
    await new Promise((done) => this.map.once("styledata", done));
  }

  // Show what is being drawn, and what is not saved yet.
  showDraft(draft, pending) {
    const known = this.map.getSource("draft");
    if (known) {
      known.setData(draft);
      this.map.getSource("pending").setData(pending);
      return;
    }
    this.map.addSource("pending", { type: "geojson", data: pending });
    this.map.addSource("draft", { type: "geojson", data: draft });
    this.map.addLayer({ id: "pending", type: "line", source: "pending", paint: { "line-color": "#ffd23f", "line-width": 2, "line-dasharray": [2, 1.5] } });
    this.map.addLayer({ id: "draft-fill", type: "fill", source: "draft", filter: ["==", ["geometry-type"], "Polygon"], paint: { "fill-color": "#00b4ff", "fill-opacity": 0.3 } });
    this.map.addLayer({ id: "draft-line", type: "line", source: "draft", paint: { "line-color": "#00b4ff", "line-width": 2.5 } });
    this.map.addLayer({
      id: "draft-points", type: "circle", source: "draft", filter: ["==", ["geometry-type"], "Point"],
      paint: { "circle-radius": 5, "circle-color": ["case", ["get", "positive"], "#2fbf71", "#e5383b"], "circle-stroke-color": "#fff", "circle-stroke-width": 1.5 },
    });
  }

  showFootprints(footprints) {
    if (this.map.getSource("footprints") || !footprints) return;
    this.map.addSource("footprints", { type: "geojson", data: footprints });
    this.map.addLayer({ id: "footprints-fill", type: "fill", source: "footprints", paint: { "fill-color": STATES, "fill-opacity": 0.12 }, maxzoom: 24 });
    this.map.addLayer({ id: "footprints", type: "line", source: "footprints", paint: { "line-color": STATES, "line-width": 1.5 } });
  }

  setVisible(id, visible) {
    for (const name of [id, `${id}-fill`, `${id}-line`, `${id}-chosen`]) {
      if (this.map.getLayer(name)) this.map.setLayoutProperty(name, "visibility", visible ? "visible" : "none");
    }
  }

  setOpacity(id, opacity) {
    if (this.map.getLayer(id)) this.map.setPaintProperty(id, "raster-opacity", opacity);
    if (this.map.getLayer(`${id}-line`)) this.map.setPaintProperty(`${id}-line`, "line-opacity", opacity);
  }

  // Fit the map to bounds, which may cross the antimeridian.
  fit([west, south, east, north], options) {
    this.map.setRenderWorldCopies(west > east);
    this.map.fitBounds([[west, south], [west > east ? east + 360 : east, north]], options);
  }

  fly(bounds, most = 22) {
    const small = matchMedia("(max-width: 720px)").matches;
    const padding = small ? { top: 40, left: 30, right: 30, bottom: innerHeight * 0.4 } : 60;
    this.fit(bounds, { padding, maxZoom: most, animate: !still.matches, duration: 700 });
  }
}

function addRaster(style, run, scene, raster, revision) {
  style.sources[raster.id] = {
    type: "raster",
    tiles: [tilesOf(run, scene, raster.id, revision)],
    tileSize: 512,
    bounds: boxOf(raster.bounds),
    minzoom: raster.min_zoom,
    maxzoom: raster.kind === "imagery" ? raster.max_zoom : Math.min(raster.max_zoom + 1, 22),
  };
  style.layers.push({
    id: raster.id,
    type: "raster",
    source: raster.id,
    layout: { visibility: raster.visible ? "visible" : "none" },
    paint: {
      "raster-opacity": raster.opacity,
      "raster-fade-duration": 0,
      "raster-resampling": raster.kind === "imagery" ? "linear" : "nearest",
    },
  });
}

function addPolygons(style, run, scene, polygons, legend, revision) {
  const id = polygons.id;
  const source = `${id}-source`;
  const common = { source, "source-layer": polygons.source_layer };
  const hidden = legend.filter((entry) => entry.background).map((entry) => entry.code);
  const filter = ["!", ["in", ["coalesce", ["get", "class_code"], -1], ["literal", hidden]]];
  const colour = colourOf(legend);
  const visibility = polygons.visible ? "visible" : "none";
  style.sources[source] = {
    type: "vector",
    tiles: [absolute(`polygons/${run}/${scene}/${id}/`) + `{z}/{x}/{y}?r=${revision}`],
    minzoom: polygons.min_zoom,
    maxzoom: polygons.max_zoom,
  };
  style.layers.push(
    {
      ...common, id: `${id}-fill`, type: "fill", filter, layout: { visibility },
      paint: {
        "fill-color": colour,
        "fill-opacity": ["case", ["boolean", ["feature-state", "chosen"], false], 0.35, ["boolean", ["feature-state", "hover"], false], 0.3, 0],
        "fill-antialias": false,
      },
    },
    {
      ...common, id: `${id}-line`, type: "line", filter, layout: { visibility, "line-join": "round" },
      paint: { "line-color": colour, "line-width": ["interpolate", ["linear"], ["zoom"], 14, 0.6, 20, 2] },
    },
    {
      ...common, id: `${id}-chosen`, type: "line", filter, layout: { visibility, "line-join": "round" },
      paint: {
        "line-color": "#ffffff",
        "line-width": 3,
        "line-opacity": ["case", ["boolean", ["feature-state", "chosen"], false], 1, 0],
      },
    },
  );
}

function colourOf(legend) {
  if (!legend.length) return "#2a78d0";
  const pairs = legend.flatMap((entry) => [entry.code, entry.colour]);
  return ["match", ["coalesce", ["get", "class_code"], -1], ...pairs, "#2a78d0"];
}

// MapLibre asks for no tile outside this box; one that crosses the antimeridian is the whole width
function boxOf([west, south, east, north]) {
  const all = west > east;
  return [all ? -180 : Math.max(west, -180), Math.max(south, -85.05), all ? 180 : Math.min(east, 180), Math.min(north, 85.05)];
}

// Keep two maps on the same ground while both are shown.
export function together(one, other) {
  let moving = false;
  const follow = (from, to) => () => {
    if (moving || from.container.hidden || to.container.hidden) return;
    moving = true;
    to.map.jumpTo({ center: from.map.getCenter(), zoom: from.map.getZoom() });
    moving = false;
  };
  one.map.on("move", follow(one, other));
  other.map.on("move", follow(other, one));
  // a map that was hidden has another size and place
  return () => {
    moving = true;
    other.map.resize();
    other.map.jumpTo({ center: one.map.getCenter(), zoom: one.map.getZoom() });
    moving = false;
  };
}

export const { NavigationControl, ScaleControl } = maplibregl;
