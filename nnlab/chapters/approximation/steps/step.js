"use strict";
// One hidden unit φ(w(x − s)) beside a hard step, and two opposite ones as a bin, each with its network.
(() => {
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));
  const UNITS = {
    sigmoid: { phi: sigmoid, low: 0, high: 1, range: [-0.15, 1.15], tail: (z) => sigmoid(-z), words: "σ(−wδ)" },
    tanh: { phi: Math.tanh, low: -1, high: 1, range: [-1.25, 1.25], tail: (z) => 1 - Math.tanh(z), words: "1 − tanh(wδ)" },
    ReLU: { phi: (z) => Math.max(0, z), low: 0, high: 1, range: [-0.5, 4] },
  };
  const DELTA = 0.05;
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const OPTIONS = { label: "activation φ", options: Object.keys(UNITS), value: "sigmoid" };
  const STEEP = { label: "steepness w", min: 0, max: 60, text: (k) => nnlab.number(steepness(k)) };

  /** The slider's k = 0 … 60 as w = 1 … 1000, with two digits. */
  const steepness = (k) => Number((10 ** (k / 20)).toPrecision(2));

  /** Places on [0, 1], dense where units of this steepness rise. */
  const places = (w, ...rises) => nnlab.spaced(0, 1, 401)
    .concat(rises.flatMap((s) => nnlab.spaced(-12, 12, 97).map((z) => s + z / w))).filter((x) => x >= 0 && x <= 1).sort((a, b) => a - b);

  const curve = ({ svg, x, y }, range, xs, f, style) => nnlab.line(svg, xs.map((at) => {
    const value = f(at);
    return [x(at), value >= range[0] && value <= range[1] ? y(value) : NaN];
  }), style);

  nnlab.widget("step", (root) => {
    const kind = nnlab.choice(root, OPTIONS, draw);
    const [chart, net] = nnlab.panels(root, 2, 14);
    nnlab.legend(root, [{ name: "φ(w(x − s))", stroke: BLUE }, { name: "hard step", stroke: ORANGE, dash: "6 4" }, { name: `within δ = ${DELTA} of s`, fill: nnlab.paint.line }]);
    const steep = nnlab.slider(root, { ...STEEP, value: 26 }, draw);
    const position = nnlab.slider(root, { label: "position s", min: 0, max: 1, step: 0.01, value: 0.4 }, draw);
    const says = nnlab.says(root);

    function draw() {
      const [unit, w, s] = [UNITS[kind.value], steepness(steep.value), position.value];
      const chartOf = nnlab.axes(chart, { x: [0, 1], y: unit.range, xLabel: "x", label: `${kind.value} of steepness ${w} at ${s}` });
      const { svg, x, y, box } = chartOf;
      const [from, to] = [Math.max(0, s - DELTA), Math.min(1, s + DELTA)];
      svg.prepend(nnlab.svg("rect", { x: x(from), width: x(to) - x(from), y: box.top, height: box.bottom - box.top, class: "shade" }));
      nnlab.line(svg, [[0, unit.low], [s, unit.low], [s, unit.high], [1, unit.high]].map(([a, b]) => [x(a), y(b)]), { stroke: ORANGE, "stroke-dasharray": "6 4" });
      curve(chartOf, unit.range, places(w, s), (at) => unit.phi(w * (at - s)), { stroke: BLUE, "stroke-width": 3 });
      nnlab.network(net, { layers: [1, 1], weights: [[[w]]], biases: [[-w * s]], labels: [["x"], ["φ"]], between: ["w"], label: `a unit with weight ${w} and bias ${nnlab.number(-w * s)}` });
      const where = `w = ${nnlab.number(w)} and b = −ws = ${nnlab.number(-w * s)} put the unit at s = −b/w = ${nnlab.number(s)}.`;
      says(unit.tail
        ? `${where} Where |x − s| ≥ δ = ${DELTA} it differs from the step by at most ${unit.words} = ${nnlab.number(unit.tail(w * DELTA))}.`
        : `${where} To the right of s it grows without bound: at x = 1 it is w(1 − s) = ${nnlab.number(w * (1 - s))}. A larger w makes it steeper, but never a step.`);
    }
    draw();
    return draw;
  });

  nnlab.widget("bin", (root) => {
    const RANGE = [-1.3, 1.3];
    const kind = nnlab.choice(root, OPTIONS, draw);
    const [chart, net] = nnlab.panels(root, 2, 14);
    nnlab.legend(root, [
      { name: "the bin", stroke: ORANGE }, { name: "h φ at s₁", stroke: BLUE, dash: "6 4" }, { name: "−h φ at s₂", stroke: GREEN, dash: "2 3" },
    ]);
    const steep = nnlab.slider(root, { ...STEEP, value: 36 }, draw);
    const first = nnlab.slider(root, { label: "left edge s₁", min: 0, max: 1, step: 0.01, value: 0.4 }, draw);
    const second = nnlab.slider(root, { label: "right edge s₂", min: 0, max: 1, step: 0.01, value: 0.6 }, draw);
    const height = nnlab.slider(root, { label: "height h", min: -1, max: 1, step: 0.05, value: 0.8 }, draw);
    const says = nnlab.says(root);

    function draw() {
      const [unit, w, a, b, h] = [UNITS[kind.value], steepness(steep.value), first.value, second.value, height.value];
      const scaled = h / (unit.high - unit.low); // tanh climbs by 2
      const [up, down] = [(x) => scaled * unit.phi(w * (x - a)), (x) => -scaled * unit.phi(w * (x - b))];
      const sum = (x) => up(x) + down(x);
      const chartOf = nnlab.axes(chart, { x: [0, 1], y: RANGE, xLabel: "x", label: `a bin of height ${h} from ${a} to ${b}` });
      const xs = places(w, a, b);
      curve(chartOf, RANGE, xs, up, { stroke: BLUE, "stroke-dasharray": "6 4" });
      curve(chartOf, RANGE, xs, down, { stroke: GREEN, "stroke-dasharray": "2 3" });
      curve(chartOf, RANGE, xs, sum, { stroke: ORANGE, "stroke-width": 3 });
      nnlab.network(net, {
        layers: [1, 2, 1], weights: [[[w], [w]], [[scaled, -scaled]]], biases: [[-w * a, -w * b]], labels: [["x"], ["φ", "φ"], ["y"]],
        between: ["w", kind.value === "tanh" ? "±h/2" : "±h"], label: `two hidden units with biases −ws₁ = ${nnlab.number(-w * a)} and −ws₂ = ${nnlab.number(-w * b)}, and output weights ${nnlab.number(scaled)} and ${nnlab.number(-scaled)}`,
      });
      const middle = (a + b) / 2;
      const centre = `In the middle the sum is ${nnlab.number(sum(middle))}`;
      const start = `${centre}, with h = ${nnlab.number(h)}`;
      if (!unit.tail) says(`${centre}; right of s₂ it stays at hw(s₂ − s₁) = ${nnlab.number(scaled * w * (b - a))}: two ReLUs make a ramp, no bin.`);
      else if (a === b) says(`${start}. The edges coincide, and nothing is left.`);
      else if (b < a) says(`${start}. The edges are swapped: the bin is upside down.`);
      else says(`${start}; ${DELTA} left of s₁ it is ${nnlab.number(sum(a - DELTA), 2)}. Two units are a bin.`);
    }
    draw();
    return draw;
  });
})();
