"use strict";
// Bins whose edges and heights the reader drags, over a function that is chosen, typed or drawn, with a proved error.
// data: {functions: [[name, expression]], epsilon}
nnlab.widget("hand_bins", (root, { functions, epsilon }) => {
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const [MOST_BINS, MOST_HANDLES, KNOTS] = [200, 12, 21];
  const TYPED = "typed", DRAWN = "drawn";
  const TOLERANCES = [0.5, 0.4, 0.3, 0.25, 0.2, 0.15, 0.1, 0.08, 0.06, 0.05, 0.04, 0.03, 0.02, 0.01];
  let f = nnlab.enclosure(functions[0][1]);
  let ys = null; // of the drawn function
  let bins = nnlab.bins.equal(f, 5);
  let byHand = false; // whether the bins are other than the sliders say

  const chosen = nnlab.choice(root, { label: "f", options: [...functions.map(([name, text]) => [text, name]), [TYPED, "typed below"], [DRAWN, "drawn by me"]] }, (which) => {
    if (which === DRAWN) startDrawing();
    else if (which !== TYPED) { typed.value = which; take(nnlab.enclosure(which)); }
    draw();
  });
  const typed = nnlab.field(root, { label: "f(x) =", value: functions[0][1], width: 22 }, (text) => {
    try {
      take(nnlab.enclosure(text));
    } catch (error) {
      return error.reason ?? error.message;
    }
    chosen.value = functions.some(([, known]) => known === text) ? text : TYPED;
    draw();
    return undefined;
  });
  nnlab.button(root, "best heights", () => { set(nnlab.bins.best(f, bins.edges)); });
  nnlab.button(root, "as many as ε needs", () => {
    const needed = nnlab.bins.needed(f, tolerance());
    if (needed <= MOST_BINS) { count.value = needed; set(nnlab.bins.equal(f, needed), false); }
    else says(`No: f is too steep for ε = ${nnlab.number(tolerance())}, it takes ${Number.isFinite(needed) ? `${nnlab.number(needed)} equal bins` : "more bins than any number"}. Take a larger ε.`);
  });
  nnlab.button(root, "fewest for ε", () => {
    const made = nnlab.bins.fewest(f, tolerance(), MOST_BINS);
    if (made) set(made); else says(`More than ${MOST_BINS} bins are needed for ε = ${nnlab.number(tolerance())}.`);
  });
  const [fit, error] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "f", stroke: BLUE }, { name: "bins", stroke: ORANGE }, { name: "certified", stroke: GREEN, dash: "9 4" }, { name: "ε", stroke: "currentColor", dash: "4 3" },
  ]);
  const count = nnlab.slider(root, { label: "equal bins N", min: 1, max: MOST_BINS, value: 5 }, (n) => set(nnlab.bins.equal(f, n), false));
  const size = nnlab.slider(root, { label: "error ε", min: 0, max: TOLERANCES.length - 1, value: Math.max(0, TOLERANCES.indexOf(epsilon)), text: (i) => nnlab.number(TOLERANCES[i]) }, draw);
  const says = nnlab.says(root);
  function tolerance() { return TOLERANCES[size.value]; }

  const list = (values) => values.map((v) => Number(v.toPrecision(5))).join("_");
  const numbers = (text, least, most) => {
    const values = text.split("_").map(Number);
    return text !== "" && values.every((v) => v >= least && v <= most) ? values : null;
  };
  nnlab.keep(root, "drawn", { get: () => (chosen.value === DRAWN ? list(ys) : ""), set: (text) => {
    const values = numbers(text, -100, 100);
    if (values?.length !== KNOTS) return;
    ys = values;
    chosen.value = DRAWN;
    take(nnlab.polyline(ys));
    draw();
  } });
  nnlab.keep(root, "bins", { get: () => (byHand ? `${list(bins.edges)}__${list(bins.heights)}` : ""), set: (text) => {
    const [edges, heights] = text.split("__").map((part) => numbers(part, -100, 100));
    if (!edges || !heights || edges.length !== heights.length + 1 || edges[0] !== 0 || edges.at(-1) !== 1 || edges.some((e, i) => i && e <= edges[i - 1]) || heights.length > MOST_BINS) return;
    set({ edges, heights });
  } });

  function set(made, hand = true) { [bins, byHand] = [made, hand]; draw(); }

  /** Another function: bins that were not moved by hand follow it. */
  function take(other) {
    f = other;
    if (!byHand) bins = nnlab.bins.equal(f, bins.heights.length);
  }

  function startDrawing() {
    ys = nnlab.spaced(0, 1, KNOTS).map((x) => f.value(x));
    take(nnlab.polyline(ys));
  }

  const drawY = (i, y) => {
    ys[i] = y;
    take(nnlab.polyline(ys));
    draw();
  };
  const moveEdge = (i, x) => {
    const edges = [...bins.edges];
    edges[i] = Math.min(edges[i + 1] - 0.005, Math.max(edges[i - 1] + 0.005, x));
    set({ edges, heights: bins.heights });
  };
  const moveHeight = (i, y) => set({ edges: bins.edges, heights: bins.heights.map((h, j) => (j === i ? y : h)) });

  function draw() {
    const { edges, heights } = bins;
    const n = heights.length;
    const certified = nnlab.bins.certified(f, bins);
    const sampled = nnlab.bins.sampled(f, bins);
    const bound = Math.max(...certified);
    const xs = nnlab.spaced(0, 1, 301);
    const values = xs.map(f.value);
    const [least, greatest] = [Math.min(...values), Math.max(...values)];
    const range = Math.max(0.2, greatest - least);
    const limits = [least - 0.25 * range, greatest + 0.25 * range];
    const inside = (y) => Math.min(limits[1], Math.max(limits[0], y));

    const left = nnlab.axes(fit, { x: [0, 1], y: limits, xLabel: "x", ratio: 1.2, label: `f and ${n} bins` });
    nnlab.line(left.svg, xs.map((x, i) => [left.x(x), left.y(values[i])]), { stroke: BLUE, "stroke-width": 3 });
    const steps = heights.flatMap((h, i) => [[left.x(edges[i]), left.y(inside(h))], [left.x(edges[i + 1]), left.y(inside(h))]]);
    nnlab.line(left.svg, steps, { stroke: ORANGE, "stroke-width": 3 });
    const step = range / 100;
    if (chosen.value === DRAWN) drawable(left, step);
    else if (n <= MOST_HANDLES) {
      for (let i = 1; i < n; i++) {
        nnlab.handle(left.svg, {
          x: left.x(edges[i]), y: left.box.bottom, label: `edge ${i}`, value: edges[i], text: nnlab.number(edges[i], 3), fill: nnlab.paint.ink,
          onMove: (px) => moveEdge(i, left.x.inverse(px)), keys: (dx, dy) => moveEdge(i, edges[i] + 0.01 * (dx + dy)),
        });
      }
      heights.forEach((h, i) => nnlab.handle(left.svg, {
        x: left.x((edges[i] + edges[i + 1]) / 2), y: left.y(inside(h)), label: `height of bin ${i + 1}`, value: h, text: nnlab.number(h, 3), fill: ORANGE,
        onMove: (_, py) => moveHeight(i, inside(left.y.inverse(py))), keys: (dx, dy) => moveHeight(i, inside(h + step * (dx + dy))),
      }));
    }

    const e = tolerance();
    const top = 1.15 * Math.max(e, Math.min(bound, 3 * Math.max(sampled.error, e)));
    const right = nnlab.axes(error, { x: [0, 1], y: [0, top], xLabel: "x", yLabel: "|y − f|", ratio: 1.2, label: `error of the bins, certified to be at most ${nnlab.number(bound)}` });
    nnlab.line(right.svg, sampled.points.map(([x, d]) => [right.x(x), right.y(Math.min(top, d))]), { stroke: ORANGE, "stroke-width": 2 });
    const bounds = certified.flatMap((d, i) => [[right.x(edges[i]), right.y(Math.min(top, d))], [right.x(edges[i + 1]), right.y(Math.min(top, d))]]);
    nnlab.line(right.svg, bounds, { stroke: GREEN, "stroke-width": 3, "stroke-dasharray": "9 4" });
    nnlab.across(right, { y: e }, { "stroke-width": 2 });

    const rounded = nnlab.bins.roundedUp(bound);
    const constant = f.lipschitz();
    const needs = Number.isFinite(constant) ? `⌈L/2ε⌉ = ${nnlab.number(nnlab.bins.needed(f, e))} equal ones are enough (L = ${nnlab.number(constant, 3)}).` : "f has no L.";
    says(`${n} ${n === 1 ? "bin" : "bins"}: error ≤ ${rounded}, certified by ${f.how}; largest found ${nnlab.number(sampled.error)}. ${bound <= e ? "Within ε." : `Above ε in ${certified.filter((d) => d > e).length}.`} ${needs}`);
  }

  /** Marks at the places where f is drawn, and the whole drawing as a surface that the pointer draws on. */
  function drawable({ svg, x, y, box }, step) {
    const at = (event) => {
      const now = fit.querySelector("svg");
      const point = new DOMPoint(event.clientX, event.clientY).matrixTransform(now.getScreenCTM().inverse());
      const i = Math.round(x.inverse(point.x) * (KNOTS - 1));
      if (i >= 0 && i < KNOTS) drawY(i, Math.min(100, Math.max(-100, y.inverse(Math.min(box.bottom, Math.max(box.top, point.y))))));
    };
    const surface = nnlab.svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top, fill: "transparent", class: "handle" }, svg);
    surface.addEventListener("pointerdown", (event) => {
      event.preventDefault();
      const end = new AbortController();
      addEventListener("pointermove", at, { signal: end.signal });
      for (const last of ["pointerup", "pointercancel"]) addEventListener(last, () => end.abort(), { signal: end.signal });
      at(event);
    });
    ys.forEach((value, i) => nnlab.handle(svg, {
      x: x(i / (KNOTS - 1)), y: y(value), label: `f(${nnlab.number(i / (KNOTS - 1))})`, value, text: nnlab.number(value, 3), fill: BLUE,
      onMove: (_, py) => drawY(i, y.inverse(Math.min(box.bottom, Math.max(box.top, py)))), keys: (dx, dy) => drawY(i, value + step * (dx + dy)),
    }));
  }

  draw();
  return draw;
});

/** Histograms {edges, heights} on [0, 1], and their distance from a function with proved ranges: see enclose.js. */
nnlab.bins = {
  /** N equal bins with the heights of the lecture, f at the middle of each. */
  equal: (f, n) => ({ edges: Array.from({ length: n + 1 }, (_, i) => i / n), heights: Array.from({ length: n }, (_, i) => f.value((i + 0.5) / n)) }),

  /** The heights in the middle of the range of f. */
  best: (f, edges) => ({ edges, heights: edges.slice(1).map((b, i) => { const [low, high] = f.range(edges[i], b); return (low + high) / 2; }) }),

  /** For each bin, ends included, a number that |h − f| never exceeds. */
  certified: (f, { edges, heights }) => heights.map((h, i) => {
    const [low, high] = f.range(edges[i], edges[i + 1]);
    const error = Math.max(high - h, h - low);
    return error + Math.abs(error) * 2 ** -52 + 2 ** -1074;
  }),

  /** The largest error at many places of each bin, and all of them as [x, error]. */
  sampled: (f, { edges, heights }) => {
    const each = Math.max(8, Math.round(600 / heights.length));
    const points = heights.flatMap((h, i) => nnlab.spaced(edges[i], edges[i + 1], each).map((x) => [x, Math.abs(h - f.value(x))]));
    return { points, error: Math.max(...points.map((point) => point[1])) };
  },

  /** ⌈L/2ε⌉, as many equal bins as an L-Lipschitz function needs; infinite where f has no L. */
  needed: (f, epsilon) => Math.max(1, Math.ceil((f.lipschitz() / (2 * epsilon)) * (1 - 1e-12))),

  /** As few bins as an error of ε allows, from left to right each as wide as can be; null for more than `most`. */
  fewest: (f, epsilon, most) => {
    const edges = [0];
    const fits = (a, b) => { const [low, high] = f.range(a, b); return high - low <= 2 * epsilon * (1 - 1e-9); };
    while (edges.at(-1) < 1) {
      const a = edges.at(-1);
      if (edges.length > most) return null;
      let [good, bad] = [a, 1];
      if (fits(a, 1)) good = 1;
      else for (let i = 0; i < 22; i++) { const middle = (good + bad) / 2; if (fits(a, middle)) good = middle; else bad = middle; }
      if (good <= a) return null;
      edges.push(good);
    }
    return nnlab.bins.best(f, edges);
  },

  /** A number in four digits that is not below it. */
  roundedUp: (value) => {
    if (!Number.isFinite(value)) return nnlab.number(value);
    const unit = 10 ** (Math.floor(Math.log10(Math.abs(value) || 1)) - 3);
    const shown = Number((Math.ceil(value / unit) * unit).toPrecision(4));
    return nnlab.number(shown < value ? Number((shown + unit).toPrecision(4)) : shown);
  },
};
