"use strict";
// A perceptron and its line on a gate of two variables; two hidden units that solve XOR. Computed here.
(() => {
  const CORNERS = [[0, 0], [0, 1], [1, 0], [1, 1]];
  const GATES = { XOR: [0, 1, 1, 0], AND: [0, 0, 0, 1], OR: [0, 1, 1, 1] };
  const RANGE = [-0.5, 1.5];
  const ON_LINE = 1e-9;
  const { positive: BLUE, negative: ORANGE } = nnlab.paint;

  /** Weights and bias of the line at a distance from the centre (½, ½), w pointing into the direction. */
  const weightsOf = (degrees, distance) => {
    const angle = (degrees * Math.PI) / 180;
    const w = [Math.cos(angle), Math.sin(angle)];
    return { w, b: -(w[0] + w[1]) / 2 - distance };
  };

  /** How many corners are right, wrong and on the line, where the output is positive for class 1. */
  const counts = (scores, gate) => scores.reduce((found, z, i) => {
    const kind = Math.abs(z) < ON_LINE ? "onLine" : (z > 0) === (gate[i] === 1) ? "right" : "wrong";
    return { ...found, [kind]: found[kind] + 1 };
  }, { right: 0, wrong: 0, onLine: 0 });

  /** A square drawing of the plane around the corners, its side as large as there is room. */
  const plane = (panel, label, most = 30) => {
    const unit = 0.85 * nnlab.em(panel);
    const room = nnlab.room(panel);
    const side = Math.max(200, Math.min(room.width, room.height, most * unit));
    const svg = nnlab.svg("svg", { viewBox: `0 0 ${side} ${side}`, role: "img", "aria-label": label });
    svg.style.maxWidth = `${side}px`;
    const box = { left: 2.2 * unit, right: side - 0.6 * unit, top: 0.6 * unit, bottom: side - 2.2 * unit };
    const [x, y] = [nnlab.scale(RANGE, [box.left, box.right]), nnlab.scale(RANGE, [box.bottom, box.top])];
    for (const value of [0, 1]) {
      nnlab.svg("line", { x1: box.left, x2: box.right, y1: y(value), y2: y(value), class: "grid" }, svg);
      nnlab.svg("line", { x1: x(value), x2: x(value), y1: box.top, y2: box.bottom, class: "grid" }, svg);
      nnlab.svg("text", { x: box.left - 0.4 * unit, y: y(value) + 0.35 * unit, "text-anchor": "end" }, svg, value);
      nnlab.svg("text", { x: x(value), y: box.bottom + 1.2 * unit, "text-anchor": "middle" }, svg, value);
    }
    nnlab.svg("text", { x: box.right, y: box.bottom + 1.2 * unit, "text-anchor": "end" }, svg, "x₁");
    nnlab.svg("text", { x: box.left - 0.4 * unit, y: box.top + unit, "text-anchor": "end" }, svg, "x₂");
    panel.replaceChildren(svg);
    return { svg, x, y, box, unit };
  };

  /** The part of the square where every score is ≥ 0, as corners in order. */
  const clipped = (...halves) => halves.reduce((corners, { w, b }) => corners.flatMap((p, i) => {
    const q = corners[(i + 1) % corners.length];
    const [at, next] = [p, q].map((r) => w[0] * r[0] + w[1] * r[1] + b);
    const crossing = at * next < 0 ? [[0, 1].map((k) => p[k] + (at / (at - next)) * (q[k] - p[k]))] : [];
    return [...(at >= 0 ? [p] : []), ...crossing];
  }), [[RANGE[0], RANGE[0]], [RANGE[1], RANGE[0]], [RANGE[1], RANGE[1]], [RANGE[0], RANGE[1]]]);

  const area = ({ svg, x, y }, fill, ...halves) => {
    const path = clipped(...halves).map(([a, b]) => `${x(a).toFixed(1)} ${y(b).toFixed(1)}`).join("L");
    if (path) nnlab.svg("path", { d: `M${path}Z`, fill, opacity: 0.18 }, svg);
  };

  /** The line where a score is 0. */
  const zero = ({ svg, x, y }, { w, b }, style) => {
    const [a, c] = clipped({ w, b }, { w: w.map((v) => -v), b: -b });
    if (a && c) nnlab.line(svg, [a, c].map(([s, t]) => [x(s), y(t)]), { stroke: "currentColor", "stroke-width": 2.6, ...style });
  };

  /** Class 1 is a disc, class 0 a square; what is wrong is crossed out, what is on the line is hollow. */
  const corner = ({ svg, x, y, unit }, [a, b], isOne, verdict) => {
    const [cx, cy, r] = [x(a), y(b), 0.55 * unit];
    const style = { stroke: isOne ? BLUE : ORANGE, fill: verdict === "onLine" ? nnlab.paint.paper : isOne ? BLUE : ORANGE, "stroke-width": 3 };
    if (isOne) nnlab.svg("circle", { cx, cy, r, ...style }, svg);
    else nnlab.svg("rect", { x: cx - r, y: cy - r, width: 2 * r, height: 2 * r, ...style }, svg);
    const word = { right: "✓", wrong: "✗", onLine: "on the line" }[verdict];
    nnlab.svg("text", { x: cx, y: cy - r - 0.35 * unit, "text-anchor": "middle", "font-weight": 700 }, svg, word);
  };
  /** The sign and size of an output over the square as pale colours on the paper. */
  const shades = (root, { svg, box }, output) => {
    const CELLS = 60;
    const paper = getComputedStyle(root).getPropertyValue("--paper").trim();
    const base = /^#(..)(..)(..)$/.exec(paper)?.slice(1).map((c) => parseInt(c, 16)) ?? [255, 255, 255];
    const place = (k) => RANGE[0] + ((k + 0.5) / CELLS) * (RANGE[1] - RANGE[0]);
    nnlab.pixels(svg, CELLS, CELLS, (r, c) => {
      const value = output([place(c), place(CELLS - 1 - r)]);
      const share = Math.min(1, 2 * Math.abs(value)) * 0.4;
      return nnlab.signed(Math.sign(value)).map((v, k) => Math.round(base[k] + share * (v - base[k])));
    }, { x: box.left, y: box.top, width: box.right - box.left });
  };
  const verdictOf = (z, one) => (Math.abs(z) < ON_LINE ? "onLine" : (z > 0) === one ? "right" : "wrong");

  nnlab.widget("perceptron", (root) => {
    const gate = nnlab.choice(root, { label: "gate", options: Object.keys(GATES) }, draw);
    const [square, net] = nnlab.panels(root, 2);
    nnlab.legend(root, [{ name: "class 1 (discs); says 1", fill: BLUE }, { name: "class 0 (squares); says 0", fill: ORANGE }]);
    const turn = nnlab.slider(root, { label: "direction of w", min: -180, max: 180, step: 1, value: 30, text: (v) => `${nnlab.number(v)}°` }, draw);
    const shift = nnlab.slider(root, { label: "distance from the centre", min: -0.9, max: 0.9, step: 0.01, value: 0.1 }, draw);
    const says = nnlab.says(root);
    let most = {}; // of each gate, the most corners that were right so far
    const within = (v, { input }) => Math.min(input.max, Math.max(input.min, v));

    function draw() {
      const line = weightsOf(turn.value, shift.value);
      const { w, b } = line;
      const scores = CORNERS.map(([p, q]) => w[0] * p + w[1] * q + b);
      const classes = GATES[gate.value];
      const found = counts(scores, classes);
      most = { ...most, [gate.value]: Math.max(most[gate.value] ?? 0, found.right) };
      const drawing = plane(square, `${gate.value}: ${found.right} of 4 corners right`);
      area(drawing, BLUE, line);
      area(drawing, ORANGE, { w: w.map((v) => -v), b: -b });
      zero(drawing, line);
      const foot = [0, 1].map((k) => 0.5 + shift.value * w[k]);
      const tip = foot.map((v, k) => v + 0.35 * w[k]);
      nnlab.line(drawing.svg, [foot, tip].map(([s, t]) => [drawing.x(s), drawing.y(t)]), { stroke: "currentColor", "stroke-width": 2 });
      CORNERS.forEach((at, i) => corner(drawing, at, classes[i] === 1, verdictOf(scores[i], classes[i] === 1)));
      const { x, y, svg } = drawing;
      nnlab.handle(svg, {
        x: x(foot[0]), y: y(foot[1]), label: "line", value: shift.value, text: `${nnlab.number(shift.value)} from the centre`, fill: nnlab.paint.ink,
        onMove: (px, py) => {
          const p = [x.inverse(px) - 0.5, y.inverse(py) - 0.5];
          shift.value = within(p[0] * w[0] + p[1] * w[1], shift);
          draw();
        },
        keys: (dx, dy) => { shift.value = within(shift.value + 0.01 * (dx + dy), shift); draw(); },
      });
      nnlab.handle(svg, {
        x: x(tip[0]), y: y(tip[1]), label: "direction of w", value: turn.value, text: `${turn.value}°`, fill: nnlab.paint.ink,
        onMove: (px, py) => {
          turn.value = Math.round((Math.atan2(y.inverse(py) - foot[1], x.inverse(px) - foot[0]) * 180) / Math.PI);
          draw();
        },
        keys: (dx, dy) => { turn.value = ((turn.value + dx + dy + 540) % 360) - 180; draw(); },
      });
      nnlab.svg("text", { x: x(tip[0]) + 0.9 * drawing.unit, y: y(tip[1]) + 0.35 * drawing.unit, class: "halo" }, svg, "w");
      nnlab.network(net, { layers: [2, 1], weights: [[w]], biases: [[b]], labels: [["x₁", "x₂"], ["sign"]], label: `a perceptron with weights ${nnlab.number(w[0], 2)}, ${nnlab.number(w[1], 2)} and bias ${nnlab.number(b, 2)}` });
      const rest = [found.wrong && `${found.wrong} wrong`, found.onLine && `${found.onLine} on the line`].filter(Boolean).join(", ");
      says(`${gate.value}: ${found.right} of 4 corners right${rest ? `, ${rest}` : ""}. `
        + (found.right === 4 ? "This line separates the classes." : gate.value === "XOR" ? `The most so far: ${most.XOR}. No line gets all four right.` : `The most so far: ${most[gate.value]}. There is a line that gets four.`));
    }
    draw();
    return draw;
  });

  const sigmoid = (z) => 1 / (1 + Math.exp(-z));

  /** Hidden values and output of 1·φ(w(x₁ + x₂ − s₁)) − 1·φ(w(x₁ + x₂ − s₂)) − ½. */
  const twoUnits = ([a, b], [first, second], w) => {
    const phi = (z) => (w === Infinity ? Number(z > 0) : sigmoid(w * z));
    const hidden = [phi(a + b - first), phi(a + b - second)];
    return { hidden, output: hidden[0] - hidden[1] - 0.5 };
  };

  nnlab.widget("xor_units", (root) => {
    const STEEP = [2, 4, 6, 8, 10, 15, 20, 30, 50, Infinity];
    const [square, net] = nnlab.panels(root, 2);
    nnlab.legend(root, [
      { name: "says 1", fill: BLUE }, { name: "says 0", fill: ORANGE },
      { name: "unit 1 at ½", stroke: "currentColor" }, { name: "unit 2", stroke: "currentColor", dash: "7 4" },
    ]);
    const first = nnlab.slider(root, { label: "position s₁", min: -0.4, max: 2.4, step: 0.05, value: 0.5 }, draw);
    const second = nnlab.slider(root, { label: "position s₂", min: -0.4, max: 2.4, step: 0.05, value: 1.5 }, draw);
    const steep = nnlab.slider(root, { label: "steepness w", min: 0, max: STEEP.length - 1, value: STEEP.length - 1, text: (i) => (STEEP[i] === Infinity ? "∞ (hard steps)" : nnlab.number(STEEP[i])) }, draw);
    const shown = nnlab.choice(root, { label: "network at", options: CORNERS.map(([a, b], i) => [i, `x = (${a}, ${b})`]), value: 1 }, draw);
    const says = nnlab.says(root);

    function draw() {
      const [positions, w] = [[first.value, second.value], STEEP[steep.value]];
      const at = CORNERS.map((corner) => twoUnits(corner, positions, w));
      const found = counts(at.map((one) => one.output), GATES.XOR);
      const drawing = plane(square, `XOR by two hidden units: ${found.right} of 4 corners right`);
      const { svg, x, y } = drawing;
      shades(root, drawing, (place) => twoUnits(place, positions, w).output);
      positions.forEach((s, i) => zero(drawing, { w: [1, 1], b: -s }, { "stroke-dasharray": i ? "7 4" : null }));
      CORNERS.forEach((place, i) => corner(drawing, place, GATES.XOR[i] === 1, verdictOf(at[i].output, GATES.XOR[i] === 1)));
      [first, second].forEach((slider, i) => nnlab.handle(svg, {
        x: x(slider.value / 2 + (i ? 0.25 : -0.25)), y: y(slider.value / 2 - (i ? 0.25 : -0.25)), label: `line of the ${i ? "second" : "first"} unit`, value: slider.value, fill: nnlab.paint.ink,
        onMove: (px, py) => { slider.value = x.inverse(px) + y.inverse(py); draw(); },
        keys: (dx, dy) => { slider.value += 0.05 * (dx + dy); draw(); },
      }));
      const { hidden, output } = at[shown.value];
      const factor = w === Infinity ? 1 : w;
      nnlab.network(net, {
        layers: [2, 2, 1], weights: [[[factor, factor], [factor, factor]], [[1, -1]]], biases: [positions.map((s) => -factor * s), [-0.5]],
        values: [CORNERS[shown.value], hidden, [output]], labels: [["x₁", "x₂"], ["", ""], ["y"]], label: "the network with its weights and values",
      });
      const margin = Math.min(...at.map((one, i) => one.output * (GATES.XOR[i] ? 1 : -1)));
      says(found.right === 4 ? `All four corners are right, with an output of at least ${nnlab.number(margin, 3)} on the right side of 0.`
        : `${found.right} of 4 corners right, ${found.wrong} wrong${found.onLine ? `, ${found.onLine} at output 0` : ""}. Put (0, 1) and (1, 0) between the lines, and the other two outside.`);
    }
    draw();
    return draw;
  });

  /** Scores of c − φ(w(x₁ − x₂) + b) at the corners, c midway between the two classes where it separates them. */
  const oneUnit = (phi, w, b) => {
    const values = CORNERS.map(([p, q]) => phi(w * (p - q) + b));
    const [ones, zeros] = [1, 0].map((one) => values.filter((_, i) => GATES.XOR[i] === one));
    const c = (Math.max(...ones) + Math.min(...zeros)) / 2;
    return { c, margin: (Math.min(...zeros) - Math.max(...ones)) / 2, output: ([p, q]) => c - phi(w * (p - q) + b) };
  };
  const ONE = { "ripple σ(z) + z exp(−z²)": (z) => sigmoid(z) + z * Math.exp(-z * z), sigmoid };

  nnlab.widget("one_unit", (root) => {
    const kind = nnlab.choice(root, { label: "φ", options: Object.keys(ONE) }, draw);
    const [square, chart] = nnlab.panels(root, 2);
    nnlab.legend(root, [{ name: "output > 0: says 1", fill: BLUE }, { name: "output < 0: says 0", fill: ORANGE }, { name: "φ(z)", stroke: "currentColor" }]);
    const weight = nnlab.slider(root, { label: "weight w", min: 0, max: 4, step: 0.005, value: 1.245 }, draw);
    const bias = nnlab.slider(root, { label: "bias b", min: -3, max: 3, step: 0.005, value: 0.845 }, draw);
    const says = nnlab.says(root);

    function draw() {
      const [phi, w, b] = [ONE[kind.value], weight.value, bias.value];
      const { c, margin, output } = oneUnit(phi, w, b);
      const drawing = plane(square, `one hidden unit on XOR; margin ${nnlab.number(margin, 2)}`);
      shades(root, drawing, output);
      CORNERS.forEach((place, i) => corner(drawing, place, GATES.XOR[i] === 1, verdictOf(output(place), GATES.XOR[i] === 1)));
      const { svg, x, y, box, unit } = nnlab.axes(chart, { x: [-5, 5], y: [-0.2, 1.3], xLabel: "z = w(x₁ − x₂) + b", ratio: 1.2, label: "the activation, and where the corners are on it" });
      nnlab.line(svg, nnlab.spaced(-5, 5, 201).map((z) => [x(z), y(phi(z))]), { stroke: "currentColor", "stroke-width": 2.6 });
      nnlab.line(svg, [[box.left, y(c)], [box.right, y(c)]], { stroke: "currentColor", "stroke-dasharray": "4 3", "stroke-width": 1.6 });
      CORNERS.forEach(([p, q], i) => {
        const z = w * (p - q) + b;
        if (i === 3 || z < -5 || z > 5) return; // (1, 1) is where (0, 0) is
        nnlab.dot(svg, x(z), y(phi(z)), { fill: GATES.XOR[i] ? BLUE : ORANGE, r: 0.34 * unit });
        nnlab.svg("text", { x: x(z) + 0.5 * unit, y: y(phi(z)) + 1.3 * unit, class: "halo" }, svg, i === 0 ? "x₁ = x₂" : `(${p}, ${q})`);
      });
      says(margin > 1e-9 ? `All four corners are right, with a margin of ${nnlab.number(margin, 3)}: φ is larger where x₁ = x₂ than at both other corners.`
        : `Not all corners are right. ${kind.value === "sigmoid" ? "A monotone φ has its value at x₁ = x₂ between the two others." : "Put x₁ = x₂ on the crest, and the two others below the dashed line."}`);
    }
    draw();
    return draw;
  });

  nnlab.perceptron = { weightsOf, counts, twoUnits, oneUnit, ONE, CORNERS, GATES };
})();
