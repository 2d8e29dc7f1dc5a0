"use strict";
// A residual that starts as a sum of modes of the reader's choice, and decays mode by mode: u(t) = Σ cᵢ e^{−λᵢt} vᵢ.
// data: {eigenvalues, start: cᵢ of the network, x, functions: mode by x, points, vectors: mode by point}
nnlab.widget("choose", (root, { eigenvalues, start, x: places, functions, points, vectors }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const count = eigenvalues.length;
  const MOST = 1.25; // of a coefficient, in units of the norm of the network's residual
  const size = Math.sqrt(start.reduce((sum, c) => sum + c * c, 0)) || 1;
  const PRESETS = {
    "all modes alike": eigenvalues.map(() => 0.5),
    ...Object.fromEntries([0, 1, 2, count - 1].map((i) => [`mode ${i + 1} alone`, eigenvalues.map((_, j) => Number(j === i))])),
    "that of the network": start.map((c) => c / size),
  };
  const OWN = "my own";
  let own = PRESETS["all modes alike"];
  const preset = nnlab.choice(root, { label: "start u(0)", options: [...Object.keys(PRESETS), OWN] }, (name) => {
    own = [...(PRESETS[name] ?? own)];
    draw();
  });
  const [bars, line] = nnlab.panels(root, 2);
  nnlab.legend(root, [{ name: "at the start", stroke: "currentColor", dash: "4 4" }, { name: "residual at time t", stroke: ORANGE }, { name: "at the examples", stroke: BLUE, mark: true }]);
  const STEPS = 90;
  const times = [0, ...nnlab.spaced(0.02 / eigenvalues[0], 10 / eigenvalues[count - 1], STEPS, true)];
  const time = nnlab.slider(root, { label: "time t", min: 0, max: STEPS, value: 0, text: (k) => nnlab.number(times[k], 3) }, draw);
  const says = nnlab.says(root);
  nnlab.keep(root, "own", {
    get: () => (preset.value === OWN ? own.map((c) => c.toPrecision(3)).join("_") : ""),
    set: (text) => {
      const values = text.split("_").map(Number);
      if (values.length !== count || !values.every((c) => Math.abs(c) <= MOST)) return;
      own = values;
      preset.value = OWN;
      draw();
    },
  });

  const shares = (t) => eigenvalues.map((l) => Math.exp(-l * t));
  const sum = (coefficients, rows, at) => coefficients.reduce((total, c, i) => total + c * rows[i][at], 0);
  const move = (i, c) => {
    own[i] = Math.min(MOST, Math.max(-MOST, c));
    preset.value = OWN;
    draw();
  };

  function draw() {
    const t = times[time.value];
    const left_over = shares(t);
    const now = own.map((c, i) => c * left_over[i]);

    const left = nnlab.axes(bars, { x: [0.4, count + 0.6], y: [-MOST, MOST], xLabel: "mode i, the fastest first", yLabel: "cᵢ, and cᵢ exp(−λᵢt) filled", xTicks: eigenvalues.map((_, i) => i + 1), ratio: 1.2, label: "coefficients of the modes" });
    const width = 0.3 * (left.x(2) - left.x(1));
    nnlab.line(left.svg, [[left.box.left, left.y(0)], [left.box.right, left.y(0)]], { class: "ink", "stroke-width": 1.2 });
    own.forEach((c, i) => {
      const box = (v, values) => nnlab.svg("rect", { x: left.x(i + 1) - width, width: 2 * width, y: Math.min(left.y(v), left.y(0)), height: Math.abs(left.y(v) - left.y(0)), ...values }, left.svg);
      box(now[i], { fill: now[i] < 0 ? nnlab.paint.negative : nnlab.paint.positive });
      box(c, { fill: "none", stroke: "currentColor", "stroke-width": 1.4, "stroke-dasharray": "4 4" });
      nnlab.handle(left.svg, {
        x: left.x(i + 1), y: left.y(c), label: `coefficient of mode ${i + 1}`, value: c, text: nnlab.number(c, 3), fill: nnlab.paint.ink,
        onMove: (_, py) => move(i, left.y.inverse(py)), keys: (dx, dy) => move(i, own[i] + 0.02 * (dx + dy)),
      });
    });

    const [before, after] = [own, now].map((c) => places.map((_, j) => sum(c, functions, j)));
    const ys = [Math.min(...before, -0.1), Math.max(...before, 0.1)];
    const pad = 0.12 * (ys[1] - ys[0]);
    const right = nnlab.axes(line, { x: [places[0], places[places.length - 1]], y: [ys[0] - pad, ys[1] + pad], xLabel: "x", yLabel: "residual f − f*", ratio: 1.2, label: `residual on the line at time ${nnlab.number(t, 3)}` });
    nnlab.line(right.svg, [[right.box.left, right.y(0)], [right.box.right, right.y(0)]], { class: "ink", "stroke-width": 1.2 });
    nnlab.line(right.svg, places.map((at, j) => [right.x(at), right.y(before[j])]), { stroke: "currentColor", "stroke-dasharray": "4 4", "stroke-width": 1.6 });
    nnlab.line(right.svg, places.map((at, j) => [right.x(at), right.y(after[j])]), { stroke: ORANGE, "stroke-width": 3.4 });
    points.forEach((at, j) => nnlab.dot(right.svg, right.x(at), right.y(sum(now, vectors, j)), { fill: BLUE, r: 0.25 * right.unit }));

    const norm = (c) => Math.sqrt(c.reduce((s, v) => s + v * v, 0));
    const gone = left_over.filter((share) => share < 0.05).length;
    const rates = `λ₁ = ${nnlab.number(eigenvalues[0], 3)}, λ${["₁", "₂", "₃", "₄", "₅", "₆", "₇", "₈"][count - 1]} = ${nnlab.number(eigenvalues[count - 1], 2)}`;
    const share = norm(own) > 0 ? `‖u(t)‖ is ${nnlab.number(100 * (norm(now) / norm(own)), 2)}% of ‖u(0)‖.` : "Drag a bar up: nothing is left to learn.";
    says(`t = ${nnlab.number(t, 3)}: ${gone} of the ${count} modes ${gone === 1 ? "has" : "have"} lost 95%. ${share} Every mode has its own rate: ${rates}.`);
  }
  draw();
  return draw;
});
