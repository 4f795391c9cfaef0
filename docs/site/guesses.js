// What the reader guesses and answers: kept in the browser, checked in the page, saved as a text.

"use strict";

(() => {
  const KEY = "deep-autoencoder-guesses";
  const UNSAVED = "This browser keeps nothing for this page: save your guesses before you leave it.";
  let mayKeep = true;
  let guesses = {}; // {question, guess, chapter, place} by its field's name

  function read() {
    try {
      guesses = JSON.parse(localStorage.getItem(KEY) ?? "{}") ?? {};
    } catch {
      mayKeep = false; // storage is denied, or holds what is not ours
    }
  }

  function keep(field, guess) {
    if (mayKeep) read(); // another page of the course may be open, too
    const { guess: key, question, place } = field.dataset;
    const chapter = document.title.split(" · ")[0];
    if (guess.trim()) guesses[key] = { chapter, place: +place, question, guess };
    else delete guesses[key];
    try {
      localStorage.setItem(KEY, JSON.stringify(guesses));
    } catch {
      mayKeep = false;
    }
    show();
  }

  function show() {
    for (const echo of document.querySelectorAll("[data-guessed]")) {
      const guess = guesses[echo.dataset.guessed]?.guess;
      echo.hidden = !guess;
      echo.querySelector("q").textContent = guess ?? "";
    }
    const count = Object.keys(guesses).length;
    const panel = document.getElementById("guesses");
    if (!panel) return;
    panel.querySelector("[data-count]").textContent =
      count === 0 ? "None yet." : count === 1 ? "One guess so far." : `${count} guesses so far.`;
    panel.querySelector("[data-unsaved]").textContent = mayKeep ? "" : UNSAVED;
    for (const button of panel.querySelectorAll("button")) button.disabled = !count;
  }

  function fill() {
    for (const field of document.querySelectorAll("[data-guess]")) {
      field.value = guesses[field.dataset.guess]?.guess ?? "";
    }
    show();
  }

  function asText() {
    const sorted = Object.values(guesses).sort((a, b) => a.chapter.localeCompare(b.chapter) || a.place - b.place);
    const lines = ["My guesses: A deep autoencoder, seen whole", ""];
    let chapter = "";
    for (const entry of sorted) {
      if (entry.chapter !== chapter) lines.push((chapter = entry.chapter), "");
      lines.push(entry.question, `My guess: ${entry.guess}`, "");
    }
    return lines.join("\n");
  }

  function save() {
    const link = document.createElement("a");
    link.href = URL.createObjectURL(new Blob([asText()], { type: "text/plain" }));
    link.download = "my_guesses.txt";
    link.click();
    setTimeout(() => URL.revokeObjectURL(link.href), 1000);
  }

  read();
  fill();
  document.addEventListener("input", ({ target }) => {
    if (target.matches("[data-guess]")) keep(target, target.value);
  });
  document.addEventListener("click", ({ target }) => {
    if (target.id === "save-guesses") save();
    if (target.id === "forget-guesses" && confirm("Forget all guesses of the course?")) {
      guesses = {};
      try {
        localStorage.removeItem(KEY);
      } catch {
        mayKeep = false;
      }
      fill();
    }
  });
  window.addEventListener("storage", () => {
    read();
    show();
  });

  // ---- Exercises: the lines that Python's checks say, looked up ----

  const NUMBER = /(-?(?:\d{1,3}(?:,\d{3})+|\d*\.\d+|\d+)(?:e-?\d+)?)\s*(%?)/g; // as in answers.py

  function numbersIn(text) {
    const found = [...text.matchAll(NUMBER)];
    return found.map(([, digits, percent]) => Number(digits.replaceAll(",", "")) / (percent ? 100 : 1));
  }

  function stepAt([starts, values], number) {
    let [low, high] = [0, starts.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if (starts[middle] <= number) low = middle + 1;
      else high = middle;
    }
    return values[low];
  }

  // The index of the line about an answer.
  function lineAbout(check, answer) {
    if (!answer.trim()) return check.empty;
    const numbers = numbersIn(answer);
    if (!numbers.every(Number.isFinite)) return check.unread;
    if (check.pairs) return check.pairs[numbers.sort((a, b) => a - b).join(",")] ?? check.unread;
    if (numbers.length !== 1) return check.unread;
    return stepAt((Number.isInteger(numbers[0]) && check.whole) || check.other, numbers[0]);
  }

  function judge(check, answer, guess) {
    const line = check.lines[lineAbout(check, answer)];
    if (!guess || !check.guesses || !line.startsWith("Right")) return line;
    const place = check.classes ? check.classes.indexOf(Number(guess)) : Math.round(Number(guess));
    return check.lines[check.guesses[place]] ?? line;
  }

  for (const form of document.querySelectorAll("form.check")) {
    let check = null;
    form.hidden = false;
    form.addEventListener("submit", async (event) => {
      event.preventDefault();
      const said = form.querySelector("output");
      const { answer, guess } = form.elements;
      try {
        check ??= JSON.parse(await live.readText(form.dataset.file));
        said.textContent = judge(check, answer.value, guess?.value);
      } catch (error) {
        said.textContent = `This cannot be checked here: ${error.message}.`;
      }
      form.dataset.said = said.textContent.split(/[ :]/)[0].toLowerCase(); // right, or not
    });
  }
})();
