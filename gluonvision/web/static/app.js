// The page: a strip of images, one of them on the stage, and its classes in the legend.
// An image is waiting, then sending, then done (with a result) or failed (with an error).

const MAX_SENDING = 2; // send the next image while the server segments one
const MAX_IMAGES = 100; // each keeps its labels in memory
const MAX_TRIES = 30; // while the server is busy
const MAX_SAVED_PIXELS = 16e6; // the largest canvas of phones
const MAX_CLASS_NAMES = 21; // in the description of the model
const IGNORED = 255;
const OVERLAY = 55;
const STEP = 0.02; // of an arrow key, as a fraction of the image

const find = (selector) => document.querySelector(selector);
const [frame, picture, mask, mark, tip, probe, notice, strip, legend, opacity, model, files] =
  ["frame", "picture", "mask", "mark", "tip", "probe", "notice", "strip", "legend", "opacity",
    "model", "files"].map((id) => find(`#${id}`));

let server = { models: [], limits: { upload: Infinity, formats: [] } };
let items = [];
let current = null;
let pinned = null; // the label selected in the legend
let highlighted = null; // the highlighted label
let point = null; // the position of the keyboard pointer: {x, y}, from 0 to 1

// ---------------------------------------------------------------- the server

async function loadModels() {
  try {
    server = await (await fetch("api/models")).json();
  } catch {
    return showMessage("The server does not respond. Is it still running?");
  }
  model.replaceChildren(...server.models.map(({ name }) => new Option(name, name)));
  find("#limits").textContent =
    `${server.limits.formats.join(", ")}, up to ${megabytes(server.limits.upload)} each. ` +
    "Images are sent to this server only, and it does not store them.";
  describeModel();
}

function describeModel() {
  const chosen = server.models.find(({ name }) => name === model.value);
  find("#about").textContent = model.title = chosen ? `${knownClasses(chosen)}${chosen.about}.` : "";
}

function knownClasses({ classes }) {
  if (!classes.length) return "";
  const shown = classes.slice(0, MAX_CLASS_NAMES).map(readable).join(", ");
  const more = classes.length > MAX_CLASS_NAMES ? ` and ${classes.length - MAX_CLASS_NAMES} more` : "";
  return `This model recognizes ${shown}${more}. `;
}

async function segment(item) {
  for (let tries = 1; ; tries++) {
    const answer = await send(item);
    const body = await answer.json().catch(() => ({}));
    if (answer.ok) return decodeResult(body);
    if (answer.status !== 503 || tries === MAX_TRIES) throw requestError(answer.status, body.error);
    item.note = "The server is busy. Waiting for a free place …";
    show(item);
    await pause(Number(answer.headers.get("Retry-After")) || 1, item.abort.signal);
  }
}

async function send({ file, abort: { signal } }) {
  const address = `api/segment?model=${encodeURIComponent(model.value)}`;
  try {
    return await fetch(address, { method: "POST", body: file, signal });
  } catch (error) {
    throw signal.aborted ? error : requestError(0, "The server does not respond. Is it still running?");
  }
}

/** Make an error; `canRetry`: whether another try with the same image may succeed. */
function requestError(status, message = `The server answered with status ${status}.`) {
  return Object.assign(new Error(message), { canRetry: status === 0 || status >= 500 });
}

async function decodeResult(result) {
  const { width, height, zlib } = result.labels;
  const stream = blobOf(zlib).stream().pipeThrough(new DecompressionStream("deflate"));
  const values = new Uint8Array(await new Response(stream).arrayBuffer());
  return { ...result, labels: { width, height, values } };
}

function blobOf(base64, type = "") {
  return new Blob([Uint8Array.from(atob(base64), (c) => c.charCodeAt(0))], { type });
}

function pause(seconds, signal) {
  return new Promise((resolve, reject) => {
    setTimeout(resolve, 1000 * seconds);
    signal.addEventListener("abort", () => reject(signal.reason), { once: true });
  });
}

// ---------------------------------------------------------------- images

function add(list) {
  const taken = [...list].slice(0, MAX_IMAGES - items.length);
  if (taken.length < list.length) {
    showMessage(`At most ${MAX_IMAGES} images at a time: ${list.length - taken.length} were not added.`);
  }
  if (!taken.length) return;
  const added = taken.map(newItem);
  items.push(...added);
  strip.append(...added.map(({ tile }) => tile), moreTile);
  select(added[0]);
  frame.focus({ preventScroll: true });
  work();
}

function newItem(file) {
  const item = { file, url: URL.createObjectURL(file), status: "waiting", note: "" };
  const { upload } = server.limits;
  if (file.size > upload) {
    Object.assign(item, {
      status: "failed",
      error: `The file is ${megabytes(file.size)}, but this server accepts at most ${megabytes(upload)}. ` +
        "Save a smaller version of the image.",
    });
  }
  item.tile = newTile(item);
  return item;
}

function remove(item) {
  item.abort?.abort();
  URL.revokeObjectURL(item.url);
  const at = items.indexOf(item);
  items = items.filter((other) => other !== item);
  item.tile.remove();
  if (item === current) select(items[Math.min(at, items.length - 1)] ?? null);
  (items.length ? current.tile.querySelector("button") : find("[data-do=choose]")).focus();
  work();
}

function work() {
  const waiting = items.filter(({ status }) => status === "waiting");
  const sending = items.filter(({ status }) => status === "sending").length;
  const first = waiting.includes(current) ? [current] : [];
  for (const item of [...new Set([...first, ...waiting])].slice(0, Math.max(0, MAX_SENDING - sending))) {
    process(item);
  }
}

async function process(item) {
  const abort = new AbortController();
  Object.assign(item, { status: "sending", error: null, result: null, note: "", abort });
  show(item);
  try {
    const result = await segment(item);
    if (abort.signal.aborted) return;
    Object.assign(item, { status: "done", result });
    announce(`${item.file.name}: ${summary(result)}`);
  } catch (error) {
    if (abort.signal.aborted) return;
    Object.assign(item, { status: "failed", error: error.message, canRetry: error.canRetry });
  }
  show(item);
  work();
}

function restart(list) {
  for (const item of list) {
    item.abort?.abort();
    Object.assign(item, { status: "waiting", error: null, result: null, note: "" });
    show(item);
  }
  work();
}

function summary({ classes }) {
  return classes.map(({ name, share }) => `${readable(name)} ${percent(share)}`).join(", ");
}

// ---------------------------------------------------------------- the strip

function newTile(item) {
  const tile = element("li", "tile");
  const image = Object.assign(new Image(), { src: item.url, alt: "" });
  hideIfBroken(image);
  const button = element("button", "thumb");
  button.append(image, element("span", "state"));
  button.onclick = () => select(item);
  const cross = element("button", "cross", "×");
  cross.setAttribute("aria-label", `Remove ${item.file.name}`);
  cross.title = "Remove";
  cross.onclick = () => remove(item);
  tile.append(button, cross);
  return tile;
}

function newMoreTile() {
  const tile = element("li", "tile");
  const button = element("button", "thumb more", "+");
  button.setAttribute("aria-label", "Add images");
  button.title = "Add images";
  button.dataset.do = "choose";
  tile.append(button);
  return tile;
}

const SIGNS = { waiting: "…", sending: "", done: "✓", failed: "!" };

function showTile({ tile, file, status, result }) {
  tile.className = `tile ${status}`;
  if (result?.preview) tile.querySelector("img").src = result.preview;
  tile.querySelector(".state").textContent = SIGNS[status];
  tile.querySelector(".thumb").setAttribute("aria-label", `${file.name}, ${status}`);
}

function moveInStrip(event) {
  if (!event.target.matches(".thumb")) return;
  if (event.key === "Delete" && current) return remove(current);
  const step = { ArrowRight: 1, ArrowLeft: -1 }[event.key];
  const next = step && items[items.indexOf(current) + step];
  if (!next) return;
  event.preventDefault();
  select(next);
  next.tile.querySelector("button").focus();
}

// ---------------------------------------------------------------- the stage

function select(item) {
  current = item;
  pinned = highlighted = point = null;
  find("#welcome").hidden = item !== null;
  find("#work").hidden = item === null;
  for (const other of items) {
    other.tile.querySelector(".thumb").setAttribute("aria-current", String(other === item));
  }
  if (item === null) return;
  item.tile.scrollIntoView({ block: "nearest", inline: "nearest" });
  show(item);
}

function show(item) {
  if (!items.includes(item)) return;
  showTile(item);
  if (item !== current) return;
  const { result, status, file } = item;
  showPicture(item);
  showNotice(item);
  frame.classList.toggle("busy", status === "sending" || status === "waiting");
  mask.hidden = mark.hidden = !result;
  hideTip();
  highlight(null);
  for (const button of document.querySelectorAll("[data-do^=save]")) button.disabled = !result;
  frame.setAttribute(
    "aria-label",
    result
      ? `${file.name}: ${summary(result)}. The arrow keys move a pointer that names the class.`
      : `${file.name}, ${status}`,
  );
  if (result) paintMask();
  showLegend(item);
}

function showPicture({ url, result }) {
  const source = result?.preview ?? url;
  if (picture.getAttribute("src") !== source) picture.src = source;
  if (result) setSize(result.width, result.height);
}

function setSize(width, height) {
  frame.style.setProperty("--ratio", width / height);
  // Do not enlarge a small image until it is blurred.
  frame.style.setProperty("--most", `${Math.max(3 * width, 320)}px`);
}

function showNotice({ status, error, note, file, canRetry }) {
  notice.hidden = status === "done";
  notice.classList.toggle("error", status === "failed");
  notice.querySelector("[data-do=again]").hidden = !canRetry;
  const text = { waiting: "Waiting for other images …", sending: note || "Segmenting …" };
  notice.querySelector("p").textContent = status === "failed" ? `${file.name}: ${error}` : text[status];
  if (status === "failed") announce(`${file.name}: ${error}`);
}

/** The colour of each label in canvas format. `background`: whether to paint the background. */
function colours({ classes }, background) {
  const table = new Uint32Array(256);
  for (const { label, colour: [red, green, blue], background: isBackground } of classes) {
    table[label] = isBackground && !background ? 0 : rgba(red, green, blue, 255);
  }
  table[IGNORED] = background ? rgba(0, 0, 0, 255) : 0;
  return table;
}

function rgba(...channels) {
  return new Uint32Array(new Uint8Array(channels).buffer)[0];
}

function paintMask() {
  const { result } = current;
  draw(mask, result.labels, colours(result, Number(opacity.value) === 100));
  mask.style.opacity = opacity.value / 100;
}

function draw(canvas, { width, height, values }, table) {
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) pixels[at] = table[values[at]];
  Object.assign(canvas, { width, height }).getContext("2d").putImageData(image, 0, 0);
}

/** Darken all classes but one; null highlights the class pinned in the legend, if any. */
function highlight(label) {
  const next = label ?? pinned;
  for (const row of legend.querySelectorAll("button")) {
    row.classList.toggle("lit", Number(row.dataset.label) === next);
  }
  mark.classList.toggle("on", next !== null);
  if (next === null || next === highlighted) return void (highlighted = next);
  highlighted = next;
  drawMark(current.result.labels, next);
  if (label !== null) scrollLegend();
}

function drawMark({ width, height, values }, label) {
  const [veil, edge] = [rgba(12, 14, 18, 130), rgba(255, 255, 255, 255)];
  const image = new ImageData(width, height);
  const pixels = new Uint32Array(image.data.buffer);
  for (let at = 0; at < pixels.length; at++) {
    if (values[at] !== label) pixels[at] = veil;
    else if (values[at - 1] !== label || values[at + 1] !== label ||
      values[at - width] !== label || values[at + width] !== label) pixels[at] = edge;
  }
  Object.assign(mark, { width, height }).getContext("2d").putImageData(image, 0, 0);
}

/** Scroll the legend, but not the page, to the highlighted row. */
function scrollLegend() {
  const row = legend.querySelector(".lit")?.parentElement;
  if (!row || legend.scrollHeight <= legend.clientHeight) return;
  const [top, bottom] = [row.offsetTop, row.offsetTop + row.offsetHeight];
  if (top < legend.scrollTop) legend.scrollTop = top;
  else if (bottom > legend.scrollTop + legend.clientHeight) {
    legend.scrollTop = bottom - legend.clientHeight;
  }
}

// ---------------------------------------------------------------- the class at a point

function classAt({ x, y }) {
  const { labels: { width, height, values }, classes } = current.result;
  const column = Math.min(width - 1, Math.floor(x * width));
  const row = Math.min(height - 1, Math.floor(y * height));
  const label = values[row * width + column];
  return classes.find((each) => each.label === label) ?? null;
}

function nameClassAt(place) {
  const found = classAt(place);
  tip.hidden = false;
  tip.style.left = `${100 * Math.min(0.88, Math.max(0.12, place.x))}%`;
  tip.style.top = `${100 * place.y}%`;
  tip.classList.toggle("below", place.y < 0.15);
  tip.querySelector("span").textContent = found ? readable(found.name) : "not labelled";
  paintSwatch(tip.querySelector("i"), found?.colour ?? [0, 0, 0]);
  highlight(found ? found.label : null);
  return found;
}

function hideTip() {
  tip.hidden = probe.hidden = true;
  point = null;
}

function followPointer(event) {
  if (!current?.result) return;
  const { left, top, width, height } = frame.getBoundingClientRect();
  const place = { x: (event.clientX - left) / width, y: (event.clientY - top) / height };
  if (place.x < 0 || place.y < 0 || place.x >= 1 || place.y >= 1) return;
  probe.hidden = true;
  nameClassAt(place);
}

function leave() {
  hideTip();
  if (current?.result) highlight(null);
}

function movePoint(event) {
  const step = { ArrowLeft: [-1, 0], ArrowRight: [1, 0], ArrowUp: [0, -1], ArrowDown: [0, 1] };
  if (!current?.result) return;
  if (event.key === "Escape") return leave();
  if (!step[event.key]) return;
  event.preventDefault();
  const length = event.shiftKey ? 5 * STEP : STEP;
  const clamp = (value) => Math.min(0.999, Math.max(0, value));
  const [x, y] = step[event.key];
  const from = point ?? { x: 0.5 - x * length, y: 0.5 - y * length };
  point = { x: clamp(from.x + x * length), y: clamp(from.y + y * length) };
  Object.assign(probe.style, { left: `${100 * point.x}%`, top: `${100 * point.y}%` });
  probe.hidden = false;
  const found = nameClassAt(point);
  announce(found ? readable(found.name) : "not labelled");
}

// ---------------------------------------------------------------- the legend

function showLegend({ result, file }) {
  legend.replaceChildren(...(result?.classes ?? []).map(legendRow));
  find("#facts").textContent = result
    ? `${file.name}, ${facts(result)}`
    : "The classes in the image and their share of its area will appear here.";
}

function legendRow(found) {
  const { label, share } = found;
  const button = element("button", "");
  button.dataset.label = label;
  button.setAttribute("aria-pressed", "false");
  const swatch = element("i", "swatch");
  const bar = element("i", "");
  paintSwatch(swatch, found.colour);
  paintSwatch(bar, found.colour);
  bar.style.width = `${100 * share}%`;
  const track = element("span", "track");
  track.append(bar);
  button.append(swatch, element("span", "", readable(found.name)),
    element("span", "share", percent(share)), track);
  button.onpointerenter = button.onfocus = () => highlight(label);
  button.onpointerleave = button.onblur = () => highlight(null);
  button.onclick = () => pin(pinned === label ? null : label);
  const row = element("li", "");
  row.append(button);
  return row;
}

function pin(label) {
  pinned = label;
  for (const row of legend.querySelectorAll("button")) {
    row.setAttribute("aria-pressed", String(Number(row.dataset.label) === label));
  }
  highlight(label);
}

function facts({ width, height, labels, seconds, model: used }) {
  const reduced = labels.width < width || labels.height < height;
  const size = `${width} × ${height}`;
  const sizes = reduced ? `${size}, segmented at ${labels.width} × ${labels.height}` : size;
  return `${sizes}, in ${seconds < 0.1 ? "less than 0.1" : seconds.toFixed(1)} s by ${used}`;
}

// ---------------------------------------------------------------- saving

function saveMask() {
  const [, base64] = current.result.mask.split(",");
  save(blobOf(base64, "image/png"), "mask");
}

async function saveOverlay() {
  const { result } = current;
  const scale = Math.min(1, Math.sqrt(MAX_SAVED_PIXELS / (result.width * result.height)));
  const width = Math.round(result.width * scale);
  const height = Math.round(result.height * scale);
  const rows = legendPlaces(result.classes, width);
  const canvas = Object.assign(document.createElement("canvas"), {
    width, height: height + rows.height,
  });
  const context = canvas.getContext("2d");
  context.drawImage(picture, 0, 0, width, height);
  context.globalAlpha = opacity.value / 100;
  context.imageSmoothingEnabled = false;
  context.drawImage(mask, 0, 0, width, height);
  context.globalAlpha = 1;
  drawLegend(context, rows, width, height);
  save(await new Promise((resolve) => canvas.toBlob(resolve)), "overlay");
}

/** The position of each class in a legend below an image, in rows from the left. */
function legendPlaces(classes, width) {
  const size = Math.max(12, Math.round(width / 40));
  const context = document.createElement("canvas").getContext("2d");
  context.font = `${size}px sans-serif`;
  let [x, y] = [size, size];
  const places = classes.map((found) => {
    const text = `${readable(found.name)} ${percent(found.share)}`;
    const length = context.measureText(text).width + 2.5 * size;
    if (x > size && x + length > width) [x, y] = [size, y + 1.8 * size];
    const place = { x, y, text, colour: found.colour };
    x += length;
    return place;
  });
  return { places, size, font: context.font, height: Math.ceil(y + 2 * size) };
}

function drawLegend(context, { places, size, font, height }, width, top) {
  Object.assign(context, { font, textBaseline: "middle", fillStyle: "#fff" });
  context.fillRect(0, top, width, height);
  for (const { x, y, text, colour } of places) {
    context.fillStyle = `rgb(${colour})`;
    context.fillRect(x, top + y, size, size);
    context.fillStyle = "#1d2127";
    context.fillText(text, x + 1.4 * size, top + y + size / 2);
  }
}

function save(blob, kind) {
  const link = document.createElement("a");
  link.href = URL.createObjectURL(blob);
  link.download = `${current.file.name.replace(/\.[^.]*$/, "")}_${kind}.png`;
  link.click();
  setTimeout(() => URL.revokeObjectURL(link.href), 60_000);
}

// ---------------------------------------------------------------- helpers

function element(tag, className, text = "") {
  const made = Object.assign(document.createElement(tag), { className, textContent: text });
  if (tag === "button") made.type = "button";
  return made;
}

/** Hide an image in a format that the browser does not show, instead of a broken-image icon. */
function hideIfBroken(image) {
  image.addEventListener("error", () => (image.hidden = true));
  image.addEventListener("load", () => (image.hidden = false));
}

function paintSwatch(swatch, colour) {
  swatch.style.background = `rgb(${colour})`;
}

const readable = (className) => className.replaceAll("_", " ");
const megabytes = (bytes) => `${(bytes / 1e6).toLocaleString("en", { maximumFractionDigits: 1 })} MB`;
const percent = (share) => (share < 0.001 ? "< 0.1 %" : `${(100 * share).toFixed(1)} %`);

function announce(text) {
  find("#live").textContent = text;
}

let messageTimer = 0;
function showMessage(text) {
  const message = find("#message");
  Object.assign(message, { textContent: text, hidden: false });
  clearTimeout(messageTimer);
  messageTimer = setTimeout(() => (message.hidden = true), 8000);
}

function showOpacity() {
  const value = Number(opacity.value);
  opacity.nextElementSibling.textContent = `${value} %`;
  for (const button of document.querySelectorAll("[data-opacity]")) {
    const shown = Number(button.dataset.opacity);
    const pressed = shown === OVERLAY ? value > 0 && value < 100 : shown === value;
    button.setAttribute("aria-pressed", String(pressed));
  }
  if (current?.result) paintMask();
}

async function example() {
  try {
    const answer = await fetch("example.jpg");
    add([new File([await answer.blob()], "example.jpg", { type: "image/jpeg" })]);
  } catch {
    showMessage("The server does not respond. Is it still running?");
  }
}

// ---------------------------------------------------------------- actions

const moreTile = newMoreTile();
const ACTIONS = {
  choose: () => files.click(),
  example,
  again: () => restart([current]),
  remove: () => remove(current),
  "save-mask": saveMask,
  "save-overlay": saveOverlay,
};

document.addEventListener("click", (event) => {
  const button = event.target.closest("[data-do], [data-opacity]");
  if (button?.dataset.do) ACTIONS[button.dataset.do]();
  else if (button) {
    opacity.value = button.dataset.opacity;
    showOpacity();
  }
});
files.addEventListener("change", () => {
  add(files.files);
  files.value = ""; // so that the same file can be chosen again
});
model.addEventListener("change", () => {
  describeModel();
  restart(items.filter(({ file }) => file.size <= server.limits.upload));
});
opacity.addEventListener("input", showOpacity);
strip.addEventListener("keydown", moveInStrip);
hideIfBroken(picture);
picture.addEventListener("load", () => {
  if (!current?.result) setSize(picture.naturalWidth, picture.naturalHeight);
});
frame.addEventListener("pointermove", followPointer);
frame.addEventListener("pointerdown", followPointer);
frame.addEventListener("pointerleave", (event) => event.pointerType === "mouse" && leave());
frame.addEventListener("keydown", movePoint);
frame.addEventListener("blur", leave);

const dropping = find("#dropping");
document.addEventListener("dragover", (event) => {
  event.preventDefault();
  dropping.classList.toggle("on", event.dataTransfer.types.includes("Files"));
});
document.addEventListener("dragleave", (event) => {
  if (!event.relatedTarget) dropping.classList.remove("on");
});
document.addEventListener("drop", (event) => {
  event.preventDefault();
  dropping.classList.remove("on");
  add(event.dataTransfer.files);
});
document.addEventListener("paste", (event) => {
  if (event.clipboardData.files.length) add(event.clipboardData.files);
});

showOpacity();
loadModels();
