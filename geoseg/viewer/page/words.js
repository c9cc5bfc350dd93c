// Numbers and messages as people read them.

const plain = new Intl.NumberFormat("en", { maximumSignificantDigits: 4 });

export function area(m2) {
  if (m2 === null || m2 === undefined || !Number.isFinite(m2)) return "";
  if (m2 === 0) return "0";
  if (m2 < 10_000) return `${plain.format(m2)} m²`;
  if (m2 < 10_000_000) return `${plain.format(m2 / 10_000)} ha`;
  return `${plain.format(m2 / 1_000_000)} km²`;
}

export function share(part, whole) {
  if (!whole) return "";
  const percent = (100 * part) / whole;
  if (percent > 0 && percent < 0.1) return "< 0.1 %";
  return `${percent.toFixed(1)} %`;
}

// confidence of polygons is a fraction
export function certainty(value) {
  return typeof value === "number" ? `${Math.round(value * 100)} %` : "";
}

export function value(name, known) {
  if (known === null || known === undefined) return "";
  if (name === "area_m2") return area(known);
  if (name.startsWith("confidence")) return certainty(known);
  if (/(^|_)(id|code|row)$/.test(name) || typeof known === "boolean") return String(known);
  return typeof known === "number" ? plain.format(known) : String(known);
}

const status = document.getElementById("status");
const alertBox = document.getElementById("alert");
let timer = 0;

export function say(text) {
  status.textContent = text;
}

export function warn(text) {
  alertBox.textContent = text;
  alertBox.hidden = false;
  clearTimeout(timer);
  timer = setTimeout(() => (alertBox.hidden = true), 8000);
}

export function element(tag, properties = {}, ...children) {
  const made = Object.assign(document.createElement(tag), properties);
  made.append(...children);
  return made;
}
