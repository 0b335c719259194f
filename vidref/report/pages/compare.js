"use strict";
const facts = JSON.parse(document.getElementById("facts").textContent);
const $ = (id) => document.getElementById(id);
const stage = $("stage"), canvas = $("picture"), pen = canvas.getContext("2d", { alpha: false });
const style = getComputedStyle(document.documentElement);
const colour = (name) => style.getPropertyValue(name).trim();
const LAST = facts.times.length - 1;

const state = {
  frame: 0, mode: "split", divider: 0.5, zoom: 0, x: facts.width / 2, y: facts.height / 2,
  follow: null, gain: 4, marks: false, other: false, playing: false,
};
let source = null; // what is drawn: the video, or a picture
let video = null; // once it can be played; until then the first frame is a picture
let ratio = 1; // canvas pixels in a CSS pixel

// --- what is shown -------------------------------------------------------------------------

function panels() {
  const w = canvas.width, h = canvas.height;
  if (state.mode !== "side") return [{ x: 0, y: 0, w, h }];
  const stacked = canvas.clientWidth < 640;
  return stacked
    ? [{ x: 0, y: 0, w, h: h / 2 }, { x: 0, y: h / 2, w, h: h / 2 }]
    : [{ x: 0, y: 0, w: w / 2, h }, { x: w / 2, y: 0, w: w / 2, h }];
}

function scaleIn(panel) {
  if (state.zoom) return state.zoom * ratio;
  return Math.min(panel.w / facts.width, panel.h / facts.height);
}

// What is in the panel's middle: never so close to an edge that emptiness shows beside it.
function centre(panel) {
  const s = scaleIn(panel);
  const within = (at, whole, half) => (
    whole <= 2 * half ? whole / 2 : Math.min(whole - half, Math.max(half, at)));
  return [within(state.x, facts.width, panel.w / 2 / s), within(state.y, facts.height, panel.h / 2 / s)];
}

function resize() {
  const width = stage.clientWidth, stacked = state.mode === "side" && width < 640;
  const across = state.mode === "side" && !stacked ? 2 : 1, down = stacked ? 2 : 1;
  const natural = (width / across) * (facts.height / facts.width) * down;
  const room = Math.max(220, innerHeight * (width < 640 ? 0.7 : 0.74));
  ratio = devicePixelRatio || 1;
  const height = Math.round(Math.min(natural, room));
  canvas.style.height = `${height}px`;
  canvas.width = Math.round(width * ratio);
  canvas.height = Math.round(height * ratio);
  draw();
}

// Only what is inside the picture is copied: a row further would be the other clip's.
function paint(second, panel, clip) {
  const s = scaleIn(panel), q = facts.stored_width / facts.width, r = facts.stored_height / facts.height;
  const mx = panel.x + panel.w / 2, my = panel.y + panel.h / 2;
  const [cx, cy] = centre(panel);
  const left = Math.max(0, cx - panel.w / 2 / s), top = Math.max(0, cy - panel.h / 2 / s);
  const right = Math.min(facts.width, cx + panel.w / 2 / s);
  const bottom = Math.min(facts.height, cy + panel.h / 2 / s);
  if (right <= left || bottom <= top || !source) return;
  pen.save();
  pen.beginPath();
  pen.rect(clip.x, clip.y, clip.w, clip.h);
  pen.clip();
  pen.imageSmoothingEnabled = !Number.isInteger(s / q);
  pen.imageSmoothingQuality = "high";
  pen.drawImage(source, left * q, top * r + (second ? facts.second_y : 0), (right - left) * q,
    (bottom - top) * r, mx + (left - cx) * s, my + (top - cy) * s, (right - left) * s, (bottom - top) * s);
  pen.restore();
}

function draw() {
  follow();
  pen.globalCompositeOperation = "source-over";
  pen.fillStyle = state.mode === "difference" ? "#000" : "#0b0c0d";
  pen.fillRect(0, 0, canvas.width, canvas.height);
  const [one, two] = panels(), mode = state.mode, swap = state.other;
  if (mode === "split") {
    const at = one.w * state.divider;
    paint(swap, one, { ...one, w: at });
    paint(!swap, one, { ...one, x: at, w: one.w - at });
  } else if (mode === "side") {
    paint(swap, one, one);
    paint(!swap, two, two);
  } else if (mode === "difference") {
    paint(false, one, one);
    pen.globalCompositeOperation = "difference";
    paint(true, one, one);
    pen.globalCompositeOperation = "lighter";
    for (let gain = 1; gain < state.gain; gain *= 2) pen.drawImage(canvas, 0, 0);
    pen.globalCompositeOperation = "source-over";
  } else {
    paint((mode === "after") !== swap, one, one);
  }
  if (state.marks) panels().forEach(mark);
  dress();
}

function mark(panel) {
  const s = scaleIn(panel), mx = panel.x + panel.w / 2, my = panel.y + panel.h / 2;
  const [cx, cy] = centre(panel);
  pen.save();
  pen.beginPath();
  pen.rect(panel.x, panel.y, panel.w, panel.h);
  pen.clip();
  pen.font = `${13 * ratio}px system-ui, sans-serif`;
  facts.people.forEach((person) => {
    const place = placeOf(person, facts.times[state.frame]);
    if (!place) return;
    const side = place.side * s, x = mx + (place.x - cx) * s - side / 2;
    const y = my + (place.y - cy) * s - side / 2;
    pen.strokeStyle = colour(place.restored ? "--after" : "--alone");
    pen.lineWidth = 2 * ratio;
    pen.setLineDash(place.restored ? [] : [6 * ratio, 5 * ratio]);
    pen.strokeRect(x, y, side, side);
    const words = place.restored ? person.name : `${person.name}: left alone`;
    const wide = pen.measureText(words).width + 10 * ratio;
    pen.fillStyle = "rgb(11 12 13 / .82)";
    pen.fillRect(x, y + side, wide, 20 * ratio);
    pen.fillStyle = colour("--ink");
    pen.fillText(words, x + 5 * ratio, y + side + 15 * ratio);
  });
  pen.restore();
}

// Words and controls that depend on the state.
function dress() {
  const mode = state.mode, split = mode === "split", swap = state.other;
  $("divider").hidden = !split;
  $("divider").style.left = `${100 * state.divider}%`;
  $("divider").setAttribute("aria-valuenow", Math.round(100 * state.divider));
  const left = $("label-before"), right = $("label-after");
  const name = (second) => (second ? "after" : "before");
  left.hidden = false;
  right.hidden = !(split || mode === "side");
  const first = mode === "difference" ? null : (mode === "after") !== swap;
  left.textContent = first === null ? "difference" : name(first);
  left.className = `label ${first === null ? "" : name(first)}`;
  right.textContent = name(!first);
  right.className = `label ${name(!first)}`;
  const stacked = mode === "side" && canvas.clientWidth < 640;
  right.style.top = stacked ? `calc(50% + .5rem)` : "";
  right.style.left = stacked ? ".5rem" : mode === "side" ? "calc(50% + .5rem)" : "";
  right.style.right = mode === "side" ? "auto" : "";
  stage.classList.toggle("closer", state.zoom > 0);
  $("gain").hidden = $("hint").hidden = mode !== "difference";
  const press = (button, on) => button.setAttribute("aria-pressed", on);
  document.querySelectorAll("#modes button").forEach((b) => press(b, b.dataset.mode === mode));
  document.querySelectorAll("#zooms button").forEach((b) => press(b, +b.dataset.zoom === state.zoom));
  document.querySelectorAll("[data-person]").forEach((b) => press(b, +b.dataset.person === state.follow));
  press($("frames"), state.marks);
  const time = facts.times[state.frame];
  $("clock").textContent = facts.kind === "video"
    ? `frame ${state.frame} of ${LAST} \u00b7 ${clock(time)}`
    : `picture ${state.frame + 1} of ${LAST + 1}: ${facts.names[state.frame]}`;
  $("seek").value = state.frame;
  $("seek").setAttribute("aria-valuetext", $("clock").textContent);
  document.querySelectorAll(".lane b").forEach((b) => { b.style.left = `${share(time)}%`; });
}

function clock(seconds) {
  const whole = Math.floor(seconds + 1e-6), rest = Math.round((seconds - whole) * 1000);
  const two = (n) => String(n).padStart(2, "0");
  const hours = Math.floor(whole / 3600), text = `${two(Math.floor(whole / 60) % 60)}:${two(whole % 60)}`;
  return `${hours ? `${hours}:` : ""}${text}.${String(Math.max(0, rest)).padStart(3, "0")}`;
}

const share = (time) => (100 * time) / facts.end;

// --- people --------------------------------------------------------------------------------

function placeOf(person, time) {
  for (const track of person.tracks) {
    const path = track.path, first = path[0][0], last = path[path.length - 1][0];
    if (time < first - 0.001 || time > last + 0.001) continue;
    let k = path.findIndex((place) => place[0] >= time);
    if (k < 0) k = path.length - 1;
    const b = path[k], a = path[Math.max(0, k - 1)], span = b[0] - a[0];
    const t = span > 0 ? Math.min(1, Math.max(0, (time - a[0]) / span)) : 0;
    const mix = (i) => a[i] + t * (b[i] - a[i]);
    return { x: mix(1), y: mix(2), side: mix(3), restored: track.restored };
  }
  return null;
}

function follow() {
  if (state.follow === null || !state.zoom) return;
  const place = placeOf(facts.people[state.follow], facts.times[state.frame]);
  if (place) [state.x, state.y] = [place.x, place.y];
}

function lookAt(number) {
  const person = facts.people[number];
  if (!person) return;
  state.follow = number;
  state.zoom = 1;
  if (!placeOf(person, facts.times[state.frame])) {
    const begin = person.tracks[0].path[0][0];
    show(Math.max(0, facts.times.findIndex((t) => t >= begin - 0.001)));
  }
  resize();
  if (stage.getBoundingClientRect().top < 0) stage.scrollIntoView({ block: "start" });
}

function introduce() {
  const cards = document.querySelector("#people .cards");
  facts.people.forEach((person, number) => {
    const card = document.createElement("article");
    card.className = "card";
    const title = document.createElement("h3");
    title.textContent = person.name;
    const lane = document.createElement("div");
    lane.className = "lane";
    lane.title = `When ${person.name} is seen`;
    for (const track of person.tracks) {
      const bar = document.createElement("i"), first = Math.max(0, track.path[0][0]);
      const last = Math.min(facts.end, track.path[track.path.length - 1][0]);
      bar.style.left = `${share(first)}%`;
      bar.style.width = `${share(last - first)}%`;
      bar.classList.toggle("alone", !track.restored);
      bar.title = track.why;
      lane.append(bar);
    }
    lane.append(document.createElement("b"));
    lane.addEventListener("click", (event) => {
      const box = lane.getBoundingClientRect();
      const time = ((event.clientX - box.left) / box.width) * facts.end;
      show(nearest(time));
    });
    const list = document.createElement("ul");
    const tracks = person.tracks.filter((track) => !track.restored);
    const whys = [...new Set(tracks.map((track) => track.why))];
    const lines = [...person.facts, ...whys.map((why) => `Left alone: ${why}`)];
    for (const words of new Set(lines)) {
      const line = document.createElement("li");
      line.textContent = words;
      list.append(line);
    }
    const button = document.createElement("button");
    button.dataset.person = number;
    button.setAttribute("aria-pressed", "false");
    button.append("Face at 100 % ");
    if (number < 9) {
      const key = document.createElement("kbd");
      key.textContent = number + 1;
      button.append(key);
    }
    button.addEventListener("click", () => lookAt(number));
    card.append(title, lane, list, button);
    cards.append(card);
  });
  $("people").hidden = facts.people.length === 0;
  $("frames").hidden = facts.people.length === 0;
}

// --- time ----------------------------------------------------------------------------------

function nearest(time) {
  let low = 0, high = LAST;
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if (facts.times[middle] <= time + 0.0005) low = middle; else high = middle - 1;
  }
  return low;
}

let wanted = null; // the frame to show once the present seek has ended

function show(frame) {
  state.frame = Math.min(LAST, Math.max(0, frame));
  if (facts.kind === "pictures") return turn();
  if (state.playing) pause();
  if (!video || video.seeking) { wanted = state.frame; return dress(); }
  seek();
}

// The middle of a frame's time: its beginning may be rounded to the frame before.
function seek() {
  const begin = facts.times[state.frame];
  const end = state.frame < LAST ? facts.times[state.frame + 1] : facts.end;
  video.currentTime = (begin + end) / 2;
}

function play() {
  if (!video) return;
  if (state.frame >= LAST) video.currentTime = 0;
  video.play().then(() => { state.playing = true; $("play").textContent = "Pause"; tick(); })
    .catch((error) => trouble(error));
}

function pause() {
  video.pause();
  state.playing = false;
  $("play").textContent = "Play";
}

function tick() {
  if (!state.playing) return;
  const next = (time) => { state.frame = nearest(time); draw(); tick(); };
  if (video.requestVideoFrameCallback) video.requestVideoFrameCallback((_, meta) => next(meta.mediaTime));
  else requestAnimationFrame(() => next(video.currentTime));
}

const loaded = new Map();
function turn() {
  const frame = state.frame;
  if (!loaded.has(frame)) {
    const image = new Image();
    image.src = $(`picture-${frame}`).textContent;
    loaded.set(frame, image.decode().then(() => image));
    if (loaded.size > 4) loaded.delete(loaded.keys().next().value);
  }
  loaded.get(frame).then((image) => {
    if (frame !== state.frame) return;
    source = image;
    Object.assign(facts, facts.shapes[frame]);
    resize();
    document.documentElement.dataset.frame = frame;
  }).catch(trouble);
}

function trouble(error) {
  $("trouble").hidden = false;
  $("trouble").textContent = facts.kind === "video"
    ? "This browser cannot play the page's video (H.264). Chrome, Edge, Safari and Firefox can."
    : "This browser cannot show the page's pictures.";
  console.warn(error);
}

function bytesOf(text) {
  if (Uint8Array.fromBase64) return [Uint8Array.fromBase64(text)];
  const parts = [], piece = 1 << 20;
  for (let at = 0; at < text.length; at += piece) {
    const raw = atob(text.slice(at, at + piece)), bytes = new Uint8Array(raw.length);
    for (let i = 0; i < raw.length; i++) bytes[i] = raw.charCodeAt(i);
    parts.push(bytes);
  }
  return parts;
}

function open() {
  introduce();
  $("seek").max = LAST;
  if (facts.kind === "pictures") {
    for (const id of ["play", "speed", "mute"]) $(id).hidden = true;
    [$("back").textContent, $("on").textContent] = ["\u25c0 picture", "picture \u25b6"];
    $("back").ariaLabel = "One picture back";
    $("on").ariaLabel = "One picture on";
    if (LAST === 0) for (const id of ["seek", "back", "on"]) $(id).hidden = true;
    return turn();
  }
  $("mute").hidden = !facts.sound;
  const first = new Image();
  first.src = $("first").textContent;
  first.decode().then(() => {
    if (video) return;
    source = first;
    resize();
    document.documentElement.dataset.frame = 0;
  }).catch(trouble);
}

// The clip lies at the page's end: until it is there, its first frame can be looked at already.
function load() {
  const element = $("clip"), coming = document.createElement("video");
  coming.playsInline = true;
  coming.preload = "auto";
  coming.addEventListener("error", () => trouble(coming.error));
  coming.addEventListener("loadeddata", () => {
    source = video = coming;
    if (wanted !== null) { wanted = null; seek(); } else resize();
    document.documentElement.dataset.ready = "yes";
  }, { once: true });
  coming.addEventListener("seeked", () => {
    if (wanted !== null) { state.frame = wanted; wanted = null; return seek(); }
    draw();
    document.documentElement.dataset.frame = state.frame;
  });
  coming.addEventListener("ended", () => { pause(); state.frame = LAST; seek(); });
  coming.src = URL.createObjectURL(new Blob(bytesOf(element.textContent), { type: "video/mp4" }));
  element.remove();
}

// --- hands ---------------------------------------------------------------------------------

function setMode(mode) { state.mode = mode; resize(); }

function setZoom(zoom, x, y) {
  const panel = panels()[0], old = scaleIn(panel) / ratio;
  const next = zoom === 0 ? 0 : Math.min(16, Math.max(0.1, zoom));
  if (next && x !== undefined) { // the point under the pointer stays where it is
    const [cx, cy] = centre(panel);
    state.x = cx + x * (1 / old - 1 / next);
    state.y = cy + y * (1 / old - 1 / next);
    state.follow = null;
  }
  state.zoom = next;
  if (!next) state.follow = null;
  clampCentre();
  draw();
}

function clampCentre() {
  state.x = Math.min(facts.width, Math.max(0, state.x));
  state.y = Math.min(facts.height, Math.max(0, state.y));
}

function setDivider(value) { state.divider = Math.min(1, Math.max(0, value)); draw(); }

const fingers = new Map();
let grip = null;

function offCentre(event) {
  const box = canvas.getBoundingClientRect(), panel = panels()[0];
  const x = (event.clientX - box.left) % (panel.w / ratio) - panel.w / ratio / 2;
  return [x, (event.clientY - box.top) % (panel.h / ratio) - panel.h / ratio / 2];
}

function down(event, divides) {
  if (event.button) return;
  fingers.set(event.pointerId, event);
  event.target.setPointerCapture(event.pointerId);
  if (fingers.size === 2) { grip = { apart: apart(), zoom: scaleIn(panels()[0]) / ratio }; return; }
  grip = { divides: divides || (state.mode === "split" && !state.zoom), x: event.clientX, y: event.clientY };
  if (grip.divides) move(event);
}

function apart() {
  const [a, b] = [...fingers.values()];
  return Math.hypot(a.clientX - b.clientX, a.clientY - b.clientY);
}

function move(event) {
  if (!fingers.has(event.pointerId) || !grip) return;
  fingers.set(event.pointerId, event);
  if (fingers.size === 2) {
    if (grip.apart) setZoom((grip.zoom * apart()) / grip.apart, ...offCentre(event));
    return;
  }
  if (grip.divides) {
    const box = canvas.getBoundingClientRect();
    return setDivider((event.clientX - box.left) / box.width);
  }
  if (!state.zoom || grip.apart) return;
  [state.x, state.y] = centre(panels()[0]);
  state.x -= (event.clientX - grip.x) / state.zoom;
  state.y -= (event.clientY - grip.y) / state.zoom;
  [grip.x, grip.y, state.follow] = [event.clientX, event.clientY, null];
  clampCentre();
  draw();
}

function up(event) { fingers.delete(event.pointerId); if (!fingers.size) grip = null; }

for (const [element, divides] of [[canvas, false], [$("divider"), true]]) {
  element.addEventListener("pointerdown", (event) => down(event, divides));
  element.addEventListener("pointermove", move);
  element.addEventListener("pointerup", up);
  element.addEventListener("pointercancel", up);
}
canvas.addEventListener("wheel", (event) => {
  if (!event.ctrlKey && !state.zoom && event.deltaY > 0) return; // nothing to go back to: scroll
  event.preventDefault();
  const least = Math.min(panels()[0].w / facts.width, panels()[0].h / facts.height) / ratio;
  const next = (scaleIn(panels()[0]) / ratio) * 1.2 ** (-event.deltaY / 100);
  setZoom(next <= least ? 0 : next, ...offCentre(event));
}, { passive: false });

const second = () => Math.max(1, Math.round(LAST / facts.end));
const KEYS = {
  " ": () => (state.playing ? pause() : play()),
  ArrowLeft: (event) => show(event.shiftKey ? nearest(facts.times[state.frame] - 1) : state.frame - 1),
  ArrowRight: (event) => show(event.shiftKey ? state.frame + second() : state.frame + 1),
  Home: () => show(0), End: () => show(LAST),
  ",": () => setDivider(state.divider - 0.02), ".": () => setDivider(state.divider + 0.02),
  v: () => setMode("split"), s: () => setMode("side"), b: () => setMode("before"),
  a: () => setMode("after"), d: () => setMode("difference"),
  x: () => { state.other = true; draw(); },
  0: () => setZoom(0),
  "+": () => setZoom((scaleIn(panels()[0]) / ratio) * 1.25),
  "-": () => setZoom((scaleIn(panels()[0]) / ratio) / 1.25),
  f: () => { state.marks = !state.marks; draw(); },
  m: () => mute(),
  "?": () => $("keys").showModal(),
};

function mute() {
  if (!video) return;
  video.muted = !video.muted;
  $("mute").setAttribute("aria-pressed", video.muted);
}

addEventListener("keydown", (event) => {
  if (event.ctrlKey || event.metaKey || event.altKey || $("keys").open) return;
  const at = event.target, key = event.key.length === 1 ? event.key.toLowerCase() : event.key;
  if (at.tagName === "SELECT") return;
  if (key === " " && at.tagName === "BUTTON" && at !== $("divider")) return; // it presses the button
  if (at === $("divider") && key.startsWith("Arrow")) {
    event.preventDefault();
    return setDivider(state.divider + (key === "ArrowRight" || key === "ArrowUp" ? 0.02 : -0.02));
  }
  const act = /^[1-9]$/.test(key) ? () => lookAt(+key - 1) : KEYS[key];
  if (!act || (facts.kind !== "video" && (key === " " || key === "m"))) return;
  event.preventDefault();
  act(event);
});
addEventListener("keyup", (event) => {
  if (event.key.toLowerCase() === "x") { state.other = false; draw(); }
});
$("play").addEventListener("click", KEYS[" "]);
$("back").addEventListener("click", () => show(state.frame - 1));
$("on").addEventListener("click", () => show(state.frame + 1));
$("seek").addEventListener("input", () => show(+$("seek").value));
$("speed").addEventListener("change", () => { if (video) video.playbackRate = +$("speed").value; });
$("mute").addEventListener("click", mute);
$("gain").addEventListener("change", () => { state.gain = +$("gain").value; draw(); });
$("frames").addEventListener("click", () => KEYS.f());
$("help").addEventListener("click", () => KEYS["?"]());
document.querySelectorAll("#modes button").forEach((b) => b.addEventListener("click", () => setMode(b.dataset.mode)));
document.querySelectorAll("#zooms button").forEach((b) => b.addEventListener("click", () => setZoom(+b.dataset.zoom)));
addEventListener("resize", resize);
if (facts.kind === "video") document.addEventListener("DOMContentLoaded", load);
open();
