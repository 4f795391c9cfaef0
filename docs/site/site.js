// What a page does beside its widgets: theme, search, zoom, the switch between planes.

"use strict";

// ---- Theme: as the system is, light, or dark ----

const THEMES = { "": "Auto", light: "Light", dark: "Dark" };
const themeButton = document.getElementById("theme");

function showTheme() {
  themeButton.querySelector("span").textContent = THEMES[document.documentElement.dataset.theme];
}

themeButton.addEventListener("click", () => {
  const names = Object.keys(THEMES);
  const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
  document.documentElement.dataset.theme = next;
  try {
    localStorage.setItem("theme", next);
  } catch {
    // Storage is denied: the theme lasts as long as the page.
  }
  showTheme();
});
themeButton.hidden = false;
showTheme();

// ---- Search: the sections that hold every word ----

let searchIndex = null;
let wordsShown = ""; // the results stand for these
const searchInput = document.getElementById("search");
const found = document.getElementById("found");

searchInput.addEventListener("focus", () => {
  if (searchIndex || document.querySelector("script[src='search_index.js']")) return;
  const script = document.createElement("script");
  script.src = "search_index.js";
  script.onload = search;
  document.head.append(script);
});
searchInput.addEventListener("input", search);
searchInput.parentElement.addEventListener("keydown", (event) => {
  if (event.key !== "Escape") return;
  found.hidden = true;
  searchInput.focus();
});
document.addEventListener("click", (event) => {
  if (!searchInput.parentElement.contains(event.target)) found.hidden = true;
});

function search() {
  const words = searchInput.value.toLowerCase().split(/\s+/).filter(Boolean);
  found.hidden = !words.length || !searchIndex;
  if (found.hidden || words.join(" ") === wordsShown) return; // a result may have the focus
  wordsShown = words.join(" ");
  const score = ({ heading, text }) => {
    const [head, body] = [heading.toLowerCase(), text.toLowerCase()];
    if (!words.every((word) => head.includes(word) || body.includes(word))) return 0;
    return 1 + 10 * words.filter((word) => head.includes(word)).length;
  };
  const hits = searchIndex.map((entry) => [score(entry), entry]).filter(([points]) => points > 0);
  hits.sort(([a], [b]) => b - a);
  found.replaceChildren(...hits.slice(0, 12).map(([, entry]) => resultLink(entry, words)));
  if (!hits.length) found.textContent = "No section has all of these words.";
}

function resultLink({ page, address, heading, text }, words) {
  const link = document.createElement("a");
  link.href = address;
  link.textContent = heading === page ? page : `${page}: ${heading}`;
  const at = Math.max(0, text.toLowerCase().indexOf(words[0]) - 40);
  const around = document.createElement("span");
  around.textContent = (at ? "… " : "") + text.slice(at, at + 130) + " …";
  link.append(around);
  return link;
}

// ---- Figures at their full size ----

document.addEventListener("click", (event) => {
  const link = event.target.closest("a.zoom");
  if (!link || event.ctrlKey || event.metaKey || event.shiftKey) return;
  event.preventDefault();
  const dialog = document.createElement("dialog");
  const picture = link.querySelector("img").cloneNode();
  dialog.append(picture);
  dialog.tabIndex = 0; // it may scroll
  dialog.addEventListener("click", () => dialog.close());
  dialog.addEventListener("close", () => dialog.remove());
  document.body.append(dialog);
  dialog.showModal();
});

// ---- What is wider than the page can be scrolled by keys ----

function makeWideReachable() {
  for (const block of document.querySelectorAll("pre, .table")) {
    if (block.scrollWidth > block.clientWidth) block.tabIndex = 0;
    else block.removeAttribute("tabindex");
  }
}
window.addEventListener("resize", makeWideReachable);
makeWideReachable();

// ---- The chapters' list is folded on a small screen ----

const contents = document.querySelector("details.contents");
const small = window.matchMedia("(max-width: 60rem)");
const foldContents = () => (contents.open = !small.matches);
small.addEventListener("change", foldContents);
foldContents();

// ---- The switch between planes ----

for (const choice of document.querySelectorAll(".switch input")) {
  choice.addEventListener("change", () => {
    for (const plane of document.querySelectorAll(".plane")) {
      plane.hidden = plane.id !== `plane-${choice.value}`;
    }
  });
}

// The address may name a plane, and live.js reads a place on it: index.html#plane=07_deep&z=1,2
function choosePlane() {
  const name = new URLSearchParams(location.hash.slice(1)).get("plane");
  const choice = [...document.querySelectorAll(".switch input")].find(({ value }) => value === name);
  if (choice && !choice.checked) choice.click();
}
window.addEventListener("hashchange", choosePlane);
choosePlane();
