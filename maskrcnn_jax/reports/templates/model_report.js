"use strict";

// Counts at the slider's score, the chosen class and the chosen model; sorting; larger pictures. The data are the page's own.
(function () {
  const data = JSON.parse(document.getElementById("data").textContent);
  const none = data.names.length; // as a class: no object, or no detection
  const slider = document.getElementById("score");
  const chosenClass = document.getElementById("class");
  const chosenModel = document.getElementById("model");
  const zeros = (length) => new Int32Array(length);
  const text = (element, value) => { if (element.textContent !== value) element.textContent = value; };
  const whole = (value) => value.toLocaleString("en-US");
  const share = (part, all) => (all ? (part / all).toFixed(3) : "-");

  const parts = () => ({ right: zeros(data.images), wrong: zeros(data.images), missed: zeros(data.images), alone: zeros(data.images) });

  // cells: object's class * (none + 1) + detection's class. images: of the chosen class, or of all.
  function count(model, position, only) {
    const size = none + 1;
    const cells = new Map();
    const images = parts();
    const add = (truth, found) => cells.set(truth * size + found, (cells.get(truth * size + found) || 0) + 1);
    const left = zeros(none); // objects without a detection
    data.objects.label.forEach((label, i) => {
      left[label] += 1;
      if (only === null || only === label) images.missed[data.objects.image[i]] += 1;
    });
    model.position.forEach((reached, i) => {
      if (reached < position) return;
      const truth = model.truth[i], found = model.found[i], image = model.image[i];
      add(truth, found);
      if (truth < none) left[truth] -= 1;
      if (only !== null && only !== truth && only !== found) return;
      if (truth === none) images.alone[image] += 1;
      else {
        images[truth === found ? "right" : "wrong"][image] += 1;
        if (only === null || only === truth) images.missed[image] -= 1;
      }
    });
    left.forEach((number, label) => { if (number) cells.set(label * size + none, number); });
    return { cells, images };
  }

  function byClass(cells) {
    const of = data.names.map(() => ({ right: 0, wrong: 0, missed: 0, alone: 0, found: 0, objects: 0 }));
    cells.forEach((number, cell) => {
      const truth = Math.floor(cell / (none + 1)), found = cell % (none + 1);
      if (truth < none) {
        of[truth].objects += number;
        of[truth][found === none ? "missed" : truth === found ? "right" : "wrong"] += number;
      } else of[found].alone += number;
      if (found < none) of[found].found += number;
    });
    return of;
  }

  function showTotals(classes, only) {
    const sum = (name) => (only === null ? classes : [classes[only]]).reduce((all, of) => all + of[name], 0);
    ["right", "wrong", "missed", "alone"].forEach((name) => text(document.getElementById("total-" + name), whole(sum(name))));
    text(document.getElementById("total-precision"), share(sum("right"), sum("found")));
    text(document.getElementById("total-recall"), share(sum("right"), sum("objects")));
  }

  function fill(cell, value, shown) {
    cell.dataset.value = value;
    text(cell, shown);
  }

  const classRows = Array.from(document.querySelectorAll("#classes tbody tr"));
  function showClasses(classes, only) {
    classRows.forEach((row) => {
      const label = Number(row.dataset.class), of = classes[label];
      row.hidden = only !== null && only !== label;
      row.querySelectorAll("[data-count]").forEach((cell) => {
        const name = cell.dataset.count;
        if (name === "precision" || name === "recall") {
          const all = name === "precision" ? of.found : of.objects;
          fill(cell, all ? of.right / all : "", share(of.right, all));
        } else fill(cell, of[name], whole(of[name]));
      });
    });
  }

  const imageRows = Array.from(document.querySelectorAll("#images tbody tr"));
  const figures = new Map(Array.from(document.querySelectorAll("#pictures figure")).map((figure) => [Number(figure.dataset.image), figure]));
  function showImages(images, only) {
    imageRows.forEach((row) => {
      const i = Number(row.dataset.image);
      const of = { right: images.right[i], wrong: images.wrong[i], missed: images.missed[i], alone: images.alone[i] };
      // One of another class is a wrong detection of its class, and an object not found of the other: of one class alone, one of the two.
      const all = 2 * of.right + (only === null ? 2 : 1) * of.wrong + of.missed + of.alone;
      row.hidden = only !== null && all === 0;
      if (figures.has(i)) figures.get(i).hidden = row.hidden;
      row.querySelectorAll("[data-count]").forEach((cell) => {
        const name = cell.dataset.count;
        if (name === "f1") fill(cell, all ? (2 * of.right) / all : "", share(2 * of.right, all));
        else fill(cell, of[name], String(of[name]));
      });
    });
  }

  // The matrix is built once; then only its numbers and colours change.
  const places = data.shown.concat([none]);
  const matrix = new Map();
  function buildMatrix() {
    const table = document.getElementById("confusion");
    const label = (place, nothing) => (place === none ? nothing : data.names[place]);
    const head = table.createTHead().insertRow();
    const heading = (row, title, vertical) => {
      const cell = document.createElement("th");
      const inner = vertical ? cell.appendChild(document.createElement("span")) : cell;
      inner.textContent = title;
      cell.title = title;
      row.appendChild(cell);
    };
    heading(head, "object \u2193   found as \u2192", false);
    places.forEach((place) => heading(head, label(place, "missed"), true));
    const body = table.createTBody();
    places.forEach((truth) => {
      const row = body.insertRow();
      heading(row, label(truth, "no object"), false);
      places.forEach((found) => {
        const cell = row.insertCell();
        cell.dataset.cell = truth + " " + found;
        cell.title = truth === none && found === none ? "" : label(truth, "no object") + ", " + (found === none ? "missed" : "found as " + label(found, ""));
        matrix.set(truth * (none + 1) + found, cell);
      });
    });
  }

  function showMatrix(cells) {
    const rows = new Map();
    cells.forEach((number, cell) => {
      const truth = Math.floor(cell / (none + 1));
      rows.set(truth, (rows.get(truth) || 0) + number);
    });
    matrix.forEach((element, cell) => {
      const number = cells.get(cell) || 0;
      const truth = Math.floor(cell / (none + 1)), found = cell % (none + 1);
      text(element, number ? whole(number) : "");
      const part = number ? 0.08 + (0.72 * number) / rows.get(truth) : 0;
      element.style.background = part ? "rgba(" + (truth === found ? "74, 127, 181" : "209, 114, 15") + ", " + part.toFixed(3) + ")" : "";
    });
  }

  const PAIRS = 200;
  function showPairs(cells, only) {
    const pairs = [];
    cells.forEach((number, cell) => {
      const truth = Math.floor(cell / (none + 1)), found = cell % (none + 1);
      if (truth < none && found < none && truth !== found && (only === null || only === truth || only === found)) pairs.push([number, truth, found]);
    });
    pairs.sort((a, b) => b[0] - a[0] || a[1] - b[1] || a[2] - b[2]);
    const body = document.querySelector("#pairs tbody");
    body.replaceChildren(...pairs.slice(0, PAIRS).map(([number, truth, found]) => {
      const row = document.createElement("tr");
      [data.names[truth], data.names[found]].forEach((name) => { const cell = row.insertCell(); cell.textContent = name; cell.className = "name"; });
      const cell = row.insertCell();
      cell.className = "number";
      fill(cell, number, whole(number));
      return row;
    }));
    const note = pairs.length === 0 ? "None at this score." : pairs.length > PAIRS ? "The first " + PAIRS + " of " + whole(pairs.length) + "." : "";
    text(document.getElementById("pairs-note"), note);
  }

  function showCurves(only) {
    document.querySelectorAll("[data-line]").forEach((line) => {
      const curve = data.curves[line.dataset.line][only === null ? none : only];
      const box = line.ownerSVGElement.viewBox.baseVal;
      const width = box.width - 52, height = box.height - 54;
      const point = (value, i) => ((width * i) / 100).toFixed(1) + "," + (height * (1 - value / 1000)).toFixed(1);
      line.setAttribute("points", curve ? curve.map(point).join(" ") : "");
    });
    const drawn = only === null || Object.values(data.curves).some((of) => of[only] !== null);
    text(document.getElementById("curves-of"), only === null ? "Mean over classes." : data.names[only] + (drawn ? "." : ": no object to measure on."));
  }

  function showErrors(only) {
    document.querySelectorAll("[data-errors]").forEach((cell) => {
      const [kind, model] = cell.dataset.errors.split(" ");
      const of = data.errors[Number(model)][kind][cell.parentElement.dataset.error];
      text(cell, whole(only === null ? of.reduce((all, number) => all + number, 0) : of[only]));
    });
  }

  function sort(table) {
    const head = table.querySelector("th[aria-sort]");
    if (!head) return;
    const column = head.cellIndex, up = head.getAttribute("aria-sort") === "ascending" ? 1 : -1;
    const numeric = head.classList.contains("number");
    const key = (row) => {
      const cell = row.cells[column];
      if (!numeric) return cell.textContent.trim();
      const value = "value" in cell.dataset ? cell.dataset.value : cell.textContent;
      return value === "" || value === "-" ? null : Number(value);
    };
    const compare = (a, b) => {
      if (a === null || b === null) return (a === null) - (b === null); // what is not defined comes last
      return up * (numeric ? a - b : a.localeCompare(b, "en", { numeric: true }));
    };
    const body = table.tBodies[0];
    const rows = Array.from(body.rows).map((row) => [key(row), row]);
    rows.sort((a, b) => compare(a[0], b[0]));
    body.append(...rows.map((row) => row[1]));
  }

  document.querySelectorAll("table.sortable thead th").forEach((head) => {
    head.tabIndex = 0;
    const clicked = () => {
      const table = head.closest("table"), before = head.getAttribute("aria-sort");
      const numeric = head.classList.contains("number");
      table.querySelectorAll("th[aria-sort]").forEach((other) => other.removeAttribute("aria-sort"));
      head.setAttribute("aria-sort", before ? (before === "ascending" ? "descending" : "ascending") : numeric ? "descending" : "ascending");
      sort(table);
    };
    head.addEventListener("click", clicked);
    head.addEventListener("keydown", (event) => { if (event.key === "Enter") clicked(); });
  });

  function show() {
    const position = Number(slider.value);
    const only = chosenClass.value === "" ? null : Number(chosenClass.value);
    const found = count(data.models[chosenModel ? Number(chosenModel.value) : 0], position, only);
    const classes = byClass(found.cells);
    text(document.getElementById("score-value"), data.scores[position].toFixed(2));
    showTotals(classes, only);
    showClasses(classes, only);
    showImages(found.images, only);
    showMatrix(found.cells);
    showPairs(found.cells, only);
  }

  function chosen() {
    const only = chosenClass.value === "" ? null : Number(chosenClass.value);
    showCurves(only);
    showErrors(only);
    changed();
  }

  // Numbers follow the slider; rows are put in order once it rests.
  function changed() {
    show();
    document.querySelectorAll("table.sortable").forEach(sort);
  }

  let waiting = false;
  slider.addEventListener("input", () => {
    if (waiting) return;
    waiting = true;
    requestAnimationFrame(() => { waiting = false; show(); });
  });
  slider.addEventListener("change", changed);
  chosenClass.addEventListener("change", chosen);
  if (chosenModel) chosenModel.addEventListener("change", changed);

  const large = document.getElementById("large");
  document.getElementById("pictures").addEventListener("click", (event) => {
    if (event.target.tagName !== "IMG") return;
    large.firstElementChild.src = event.target.src;
    large.firstElementChild.alt = event.target.alt;
    large.showModal();
  });
  large.addEventListener("click", () => large.close());

  buildMatrix();
  chosen(); // all of it: Firefox keeps what was chosen before a page is loaded again
})();
