"use strict";
(() => {
  const walk = JSON.parse(document.getElementById("walk").textContent);
  const { labels } = walk.candidates;
  // The model computes in float32, and so does this page.
  const boxes = walk.candidates.boxes.map((box) => Float32Array.from(box));
  const scores = Float32Array.from(walk.candidates.scores);
  const round = Math.fround;
  const thresholds = { ...walk.thresholds };
  const sliders = ["score", "nms", ...(walk.truth ? ["iou"] : [])];
  const byId = (id) => document.getElementById(id);
  const shows = (name) => Boolean(byId(`show-${name}`)?.checked);

  const area = ([x0, y0, x1, y1]) => round(round(x1 - x0) * round(y1 - y0));

  function iou(a, b) {
    const width = Math.max(round(Math.min(a[2], b[2]) - Math.max(a[0], b[0])), 0);
    const height = Math.max(round(Math.min(a[3], b[3]) - Math.max(a[1], b[1])), 0);
    const shared = round(width * height);
    return round(shared / round(round(area(a) + area(b)) - shared));
  }

  // Greedy NMS, class by class, of the candidates above the score, which come best first.
  function suppress() {
    const [score, nms] = [round(thresholds.score), round(thresholds.nms)];
    const rivals = walk.categories.map(() => []);
    const kept = [];
    const dropped = [];
    for (let i = 0; i < scores.length && scores[i] > score; i++) {
      const own = rivals[labels[i] - 1];
      if (own.some((j) => iou(boxes[j], boxes[i]) > nms)) {
        dropped.push(i);
      } else {
        own.push(i);
        kept.push(i);
      }
    }
    return { kept: kept.slice(0, walk.max_detections), beyond: kept.slice(walk.max_detections), dropped };
  }

  // The share of the union, and of the detection's own area where the object is a crowd, as COCO measures overlap.
  function overlap(box, object, isCrowd) {
    const width = Math.max(Math.min(box[2], object[2]) - Math.max(box[0], object[0]), 0);
    const height = Math.max(Math.min(box[3], object[3]) - Math.max(box[1], object[1]), 0);
    const [own, other] = [box, object].map(([x0, y0, x1, y1]) => (x1 - x0) * (y1 - y0));
    return (width * height) / (isCrowd ? own : own + other - width * height);
  }

  // "found", "wrong" or "aside" of each detection, and the objects that are taken. Better detections choose first.
  function match(kept) {
    const taken = new Set();
    const outcomes = kept.map((i) => {
      let [best, most, inCrowd] = [-1, thresholds.iou, false];
      walk.truth.boxes.forEach((object, j) => {
        if (walk.truth.labels[j] !== labels[i]) return;
        const share = overlap(boxes[i], object, walk.truth.crowd[j]);
        if (walk.truth.crowd[j]) {
          inCrowd ||= share >= thresholds.iou;
        } else if (!taken.has(j) && share >= most) {
          [best, most] = [j, share];
        }
      });
      if (best >= 0) taken.add(best);
      return best >= 0 ? "found" : inCrowd ? "aside" : "wrong";
    });
    return { outcomes, taken };
  }

  const svg = byId("scene");
  const pen = document.createElement("canvas").getContext("2d");
  const [FONT, PAD] = [12, 3]; // pixels of the screen

  function element(name, attributes, ...children) {
    const made = document.createElementNS("http://www.w3.org/2000/svg", name);
    for (const [key, value] of Object.entries(attributes)) made.setAttribute(key, value);
    made.append(...children);
    return made;
  }

  function rectangle([x0, y0, x1, y1], attributes, text) {
    const sides = { x: x0, y: y0, width: x1 - x0, height: y1 - y0 };
    const title = element("title", {}, text);
    return element("rect", { ...sides, ...attributes }, title);
  }

  const nameOf = (label) => walk.categories[label - 1].name;
  const textOf = (i) => `${nameOf(labels[i])} ${scores[i].toFixed(2)}`;
  const largestFirst = (rows) => [...rows].sort((i, j) => area(boxes[j]) - area(boxes[i]));

  // A label above its box, or within or below it; none where there is no place clear of the labels of better boxes.
  function place(size, [x0, y0, , y1], taken) {
    const x = Math.min(Math.max(x0, 0), walk.size[1] - size.width);
    for (const y of [y0 - size.height, y0, y1 - size.height, y1]) {
      const free = taken.every((t) => x >= t.x + t.width || t.x >= x + size.width || y >= t.y + t.height || t.y >= y + size.height);
      if (x >= 0 && y >= 0 && y + size.height <= walk.size[0] && free) return { x, y, ...size };
    }
    return null;
  }

  function labelsOf(kept, colorOf) {
    const unit = 1 / (svg.getScreenCTM()?.a || 1); // of the image, a pixel of the screen
    pen.font = `${FONT}px system-ui, sans-serif`;
    const taken = [];
    return kept.flatMap((i) => {
      const width = (pen.measureText(textOf(i)).width + 2 * PAD) * unit;
      const found = place({ width, height: (FONT + 2 * PAD) * unit }, boxes[i], taken);
      if (!found) return [];
      taken.push(found);
      const color = colorOf(i);
      const [red, green, blue] = [1, 3, 5].map((at) => parseInt(color.slice(at, at + 2), 16));
      const ink = 0.299 * red + 0.587 * green + 0.114 * blue > 120 ? "#000" : "#fff";
      const back = element("rect", { ...found, style: `fill: ${color}` });
      const at = { x: found.x + PAD * unit, y: found.y + (FONT + PAD / 2) * unit };
      const style = `font-size: ${FONT * unit}px; fill: ${ink}`;
      return [element("g", { class: "label", "data-candidate": i }, back, element("text", { ...at, style }, textOf(i)))];
    });
  }

  function row(i, color, outcome) {
    const made = document.createElement("tr");
    made.dataset.candidate = i;
    const swatch = document.createElement("span");
    swatch.className = "swatch";
    swatch.style.background = color;
    const words = { found: "true positive", wrong: "false positive", aside: "in a crowd" };
    made.title = `x0, y0, x1, y1 of the resized image: ${[...boxes[i]].map((side) => side.toFixed(1)).join(", ")}`;
    const cells = [swatch, nameOf(labels[i]), scores[i].toFixed(3)];
    if (outcome) cells.push(words[outcome]);
    cells.forEach((content, column) => {
      const cell = document.createElement("td");
      if (column === 2) cell.className = "number";
      cell.append(content);
      made.append(cell);
    });
    return made;
  }

  function truthBoxes(taken) {
    return walk.truth.boxes.map((box, j) => {
      const what = walk.truth.crowd[j] ? "aside" : taken.has(j) ? "found" : "missed";
      const words = { aside: "crowd", found: "found", missed: "missed" };
      const attributes = { class: `truth ${what}`, style: `stroke: ${walk.colors[what]}` };
      return rectangle(box, attributes, `ground truth: ${nameOf(walk.truth.labels[j])}, ${words[what]}`);
    });
  }

  function count(name, number) {
    const card = byId(`count-${name}`);
    if (card) card.textContent = number.toLocaleString("en");
  }

  function draw() {
    const { kept, beyond, dropped } = suppress();
    const { outcomes, taken } = walk.truth ? match(kept) : { outcomes: [], taken: new Set() };
    const outcomeOf = new Map(kept.map((i, k) => [i, outcomes[k]]));
    const colorOf = (i) => (shows("outcomes") ? walk.colors[outcomeOf.get(i)] : walk.categories[labels[i] - 1].color);
    for (const layer of [...svg.querySelectorAll("g")]) layer.remove();
    const masks = shows("masks") ? largestFirst(kept).filter((i) => walk.outlines[i]) : [];
    const layers = [
      masks.map((i) => element("path", { class: "mask", d: walk.outlines[i], "fill-rule": "evenodd", style: `fill: ${colorOf(i)}; stroke: ${colorOf(i)}` })),
      shows("dropped") ? dropped.map((i) => rectangle(boxes[i], { class: "dropped" }, `${textOf(i)}, dropped by NMS`)) : [],
      shows("truth") ? truthBoxes(taken) : [],
      largestFirst(kept).map((i) => rectangle(boxes[i], { class: "kept", "data-candidate": i, style: `stroke: ${colorOf(i)}` }, textOf(i))),
      shows("names") ? labelsOf(kept, colorOf) : [],
    ];
    svg.append(...layers.map((children, k) => element("g", { class: k ? "over" : "" }, ...children)));
    byId("rows").replaceChildren(...kept.map((i) => row(i, colorOf(i), outcomeOf.get(i))));
    count("candidates", kept.length + beyond.length + dropped.length);
    count("dropped", dropped.length);
    count("kept", kept.length);
    count("found", outcomes.filter((outcome) => outcome === "found").length);
    count("wrong", outcomes.filter((outcome) => outcome === "wrong").length);
    count("missed", walk.truth ? walk.truth.crowd.filter((isCrowd, j) => !isCrowd && !taken.has(j)).length : 0);
    byId("cut").hidden = thresholds.score >= walk.floor;
    byId("beyond").hidden = !beyond.length;
    byId("beyond").textContent = `NMS leaves ${beyond.length} more, beyond the model's limit of ${walk.max_detections} detections.`;
  }

  function show() {
    for (const name of sliders) {
      byId(name).value = thresholds[name];
      byId(`${name}-value`).textContent = thresholds[name].toFixed(3);
    }
    draw();
  }

  for (const name of sliders) {
    byId(name).addEventListener("input", (event) => {
      thresholds[name] = Number(event.target.value);
      show();
    });
  }
  for (const box of document.querySelectorAll(".switches input")) box.addEventListener("change", draw);
  byId("reset").addEventListener("click", () => {
    Object.assign(thresholds, walk.own);
    show();
  });

  // A box, its label and its row light up together.
  function light(event) {
    for (const lit of document.querySelectorAll(".lit")) lit.classList.remove("lit");
    const i = event.target.closest("[data-candidate]")?.dataset.candidate;
    if (i !== undefined) for (const part of document.querySelectorAll(`[data-candidate="${i}"]`)) part.classList.add("lit");
  }
  svg.addEventListener("mouseover", light);
  byId("rows").addEventListener("mouseover", light);
  new ResizeObserver(draw).observe(svg);
  show();
})();
