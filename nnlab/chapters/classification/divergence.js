"use strict";
// Two distributions P and Q, and cross-entropy = entropy + KL divergence as lengths. data: {names, p, q, label: index}
nnlab.widget("divergence", (root, { names, p: p0, q: q0, label }) => {
  const { entropy, divergence, crossEntropy, withProbability } = nnlab.classification;
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const LEAST = 0.001; // of Q: where it is 0 and P is not, the divergence is infinite
  const state = { p: [...p0], q: [...q0] };
  const set = (p, q) => () => {
    Object.assign(state, { p: [...p], q: [...q] });
    draw();
    bars.dispatchEvent(new Event("input", { bubbles: true }));
  };
  const [bars, lengths] = [nnlab.panel(root, "panel tall"), nnlab.panel(root)];
  nnlab.button(root, `P is the label ${names[label]}`, () => set(p0.map((_, i) => Number(i === label)), state.q)());
  nnlab.button(root, "Q = P", () => set(state.p, state.p.map((v) => Math.max(v, LEAST)))());
  nnlab.button(root, "as at the start", set(p0, q0));
  nnlab.legend(root, [{ name: "P, entropy H(P)", fill: BLUE }, { name: "Q", fill: ORANGE }, { name: "D(P‖Q)", fill: GREEN }]);
  const says = nnlab.says(root);
  nnlab.keep(root, "distributions", {
    get: () => ([...state.p, ...state.q].join() === [...p0, ...q0].join() ? "" : [...state.p, ...state.q].map((v) => v.toFixed(3)).join("_")),
    set: (text) => {
      const values = text.split("_").map(Number);
      if (values.length !== 2 * names.length || !values.every((v) => v >= 0 && v <= 1)) return;
      const whole = (part) => part.map((v) => v / part.reduce((a, c) => a + c));
      Object.assign(state, { p: whole(values.slice(0, names.length)), q: whole(values.slice(names.length).map((v) => Math.max(v, LEAST))) });
      draw();
    },
  });

  function draw() {
    const { p, q } = state;
    const axes = nnlab.axes(bars, {
      x: [-0.5, names.length - 0.5], y: [0, 1], xTicks: [], xLabel: " ", yLabel: "probability", ratio: 0.5,
      label: names.map((name, i) => `${name}: P ${nnlab.number(p[i], 2)}, Q ${nnlab.number(q[i], 2)}`).join("; "),
    });
    const { svg, x, y, box, unit } = axes;
    names.forEach((name, i) => {
      nnlab.svg("text", { x: x(i), y: box.bottom + 1.4 * unit, "text-anchor": "middle" }, svg, name);
      for (const [key, fill, at] of [["p", BLUE, i - 0.2], ["q", ORANGE, i + 0.2]]) {
        const value = state[key][i];
        nnlab.svg("rect", { x: x(at - 0.17), width: x(at + 0.17) - x(at - 0.17), y: y(value), height: box.bottom - y(value), fill }, svg);
        const top = y(value) - 1.1 * unit < box.top;
        const words = top ? { y: y(value) + 1.8 * unit, style: `fill: ${nnlab.paint.paper}` } : { y: y(value) - 0.7 * unit, class: "halo" };
        nnlab.svg("text", { x: x(at), "text-anchor": "middle", ...words }, svg, `${key.toUpperCase()} ${nnlab.number(value, 2)}`);
        const low = key === "q" ? LEAST : 0;
        const move = (next) => {
          state[key] = withProbability(state[key], i, Math.min(1 - low * (names.length - 1), Math.max(low, next)));
          if (key === "q") state.q = state.q.map((v) => Math.max(v, LEAST));
          draw();
        };
        nnlab.handle(svg, {
          x: x(at), y: y(value), label: `${key.toUpperCase()}(${name})`, value, text: nnlab.number(value, 2), fill: nnlab.paint.ink, r: 0.3 * unit,
          onMove: (_, to) => move(y.inverse(to)), keys: (dx, dy) => move(value + 0.01 * (dx + dy)),
        });
      }
    });

    const [h, d, both] = [entropy(p), divergence(p, q), crossEntropy(p, q)];
    const plot = nnlab.axes(lengths, { x: [0, Math.max(2.5, 1.15 * both)], y: [0, 2], yTicks: [], xLabel: "length, in nats", ratio: 0.22, label: `entropy ${nnlab.number(h, 3)} plus divergence ${nnlab.number(d, 3)} is cross-entropy ${nnlab.number(both, 3)}` });
    const row = (at, from, to, fill, words) => {
      const [left, right] = [plot.x(from), plot.x(to)];
      const tall = plot.y(at) - plot.y(at + 0.8);
      nnlab.svg("rect", { x: left, width: right - left, y: plot.y(at + 0.8), height: tall, fill, "fill-opacity": 0.35, stroke: fill, "stroke-width": 2 }, plot.svg);
      if (right - left > 0.62 * words.length * plot.unit) nnlab.svg("text", { x: (left + right) / 2, y: plot.y(at + 0.4) + 0.35 * plot.unit, "text-anchor": "middle" }, plot.svg, words);
    };
    row(1.1, 0, both, nnlab.paint.muted, "cross-entropy H(P, Q)");
    row(0.1, 0, h, BLUE, "H(P)");
    row(0.1, h, both, GREEN, "D(P‖Q)");
    const one = p.findIndex((v) => v > 1 - 1e-9);
    says(`H(P) + D(P‖Q) = ${nnlab.number(h, 3)} + ${nnlab.number(d, 3)} = ${nnlab.number(both, 3)} = H(P, Q). `
      + (one >= 0 ? `P is a label, so H(P) = 0, and the cross-entropy is the loss −log ${nnlab.number(q[one], 3)}.`
        : d < 1e-4 ? "Where Q = P the divergence is 0: no Q has a smaller cross-entropy." : "Only the divergence depends on Q: training lowers it."));
  }
  draw();
  return draw;
});
