// The list of layers: on and off, and opacity.

import { element } from "./words.js";

const TOP = ["imagery", "classes", "confidence", "entropy", "mutual_information", "changes"];

export function showLayers(state, apply) {
  const box = document.getElementById("layers");
  box.replaceChildren();
  const more = element("details", { className: "more" }, element("summary", { textContent: "More layers" }));
  const all = [...state.facts.polygons, ...[...state.layerList()].reverse()];
  for (const layer of all) {
    const known = state.layers[layer.id];
    const input = element("input", { type: "checkbox", checked: known.visible });
    input.dataset.layer = layer.id;
    const slider = element("input", { type: "range", min: 0, max: 100, value: Math.round(known.opacity * 100) });
    slider.setAttribute("aria-label", `Opacity of ${layer.label}`);
    slider.disabled = !known.visible;
    input.addEventListener("change", () => {
      known.visible = input.checked;
      slider.disabled = !input.checked;
      apply();
    });
    slider.addEventListener("input", () => {
      known.opacity = slider.value / 100;
      apply();
    });
    const label = element("label", { title: layer.label }, input, element("span", { textContent: layer.label }));
    const row = element("div", { className: "layer" }, label, slider);
    (TOP.includes(layer.id) || !("kind" in layer) ? box : more).append(row);
  }
  if (more.children.length > 1) box.append(more);
}
