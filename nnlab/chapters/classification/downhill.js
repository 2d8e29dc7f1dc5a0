"use strict";
// Gradient descent on a surface over two weights, with all examples or mini-batches. data: {x: N × 2, y, start}
nnlab.widget("downhill", (root, { x: xs, y: ys, start: start0 }) => {
  const { hessian, eigen, gradient, quadratic, contour, descend, plane, inside } = nnlab.classification;
  const [BLUE, ORANGE] = nnlab.colours;
  const A = hessian(xs);
  const { values: [top, low] } = eigen(A);
  const all = xs.map((_, i) => i);
  const back = gradient(xs, ys, [0, 0], all).map((v) => -v); // Aw* = back
  const size = A[0][0] * A[1][1] - A[0][1] * A[1][0];
  const best = [(A[1][1] * back[0] - A[0][1] * back[1]) / size, (A[0][0] * back[1] - A[1][0] * back[0]) / size];
  let [start, seed] = [[...start0], 1];
  const batch = nnlab.choice(root, { label: "gradient of", options: [[xs.length, `all ${xs.length} examples`], ...[8, 2, 1].map((n) => [n, n > 1 ? `mini-batches of ${n}` : "one example"])], value: xs.length }, draw);
  nnlab.button(root, "other mini-batches", () => { seed += 1; draw(); });
  const [map, curve] = nnlab.panels(root, 2);
  const rate = nnlab.slider(root, { label: "step size η", min: 0.05, max: 1.15, step: 0.05, value: 0.6, mark: 1, text: (v) => (v === 1 ? "2/λmax" : `${nnlab.number(v, 2)} · 2/λmax`) }, draw);
  const steps = nnlab.slider(root, { label: "steps", min: 1, max: 80, value: 25 }, draw);
  nnlab.legend(root, [{ name: "equal loss", stroke: BLUE }, { name: "path of the weights", stroke: ORANGE }, { name: "2/λmax on the slider", fill: nnlab.paint.negative }]);
  const says = nnlab.says(root);
  nnlab.keepPoint(root, "start", { start: start0, most: 4, get: () => start, set: (point) => { start = point; draw(); } });
  nnlab.keep(root, "seed", { get: () => (seed === 1 ? "" : String(seed)), set: (text) => { seed = Math.max(1, Math.trunc(Number(text)) || 1); draw(); } });
  const move = (a, b) => {
    start = [a, b].map((v) => Math.min(4, Math.max(-4, v)));
    draw();
  };

  function draw() {
    const eta = (rate.value * 2) / top;
    const count = Number(batch.value);
    const path = descend(xs, ys, { start, rate: eta, steps: steps.value, size: count, seed });
    const above = path.map((w) => quadratic(A, best, w));

    const left = plane(map, { x: [best[0] - 3, best[0] + 3], y: [best[1] - 3.4, best[1] + 3.4], xLabel: "weight w₁", yLabel: "weight w₂", ratio: 1, label: `${path.length - 1} steps from (${start.map((v) => nnlab.number(v, 2)).join(", ")})` });
    const group = inside(left);
    const line = (points, values) => nnlab.line(group, points.map(([a, b]) => [left.x(a), left.y(b)]), values);
    for (const level of [0.05, 0.2, 0.5, 1, 2, 3.5, 5.5, 8]) line(contour(A, best, level), { stroke: BLUE, "stroke-width": 1.2, opacity: 0.7 });
    line(path, { stroke: ORANGE, "stroke-width": 2.4 });
    for (const [a, b] of path.slice(1)) nnlab.dot(group, left.x(a), left.y(b), { fill: ORANGE, r: 0.16 * left.unit });
    nnlab.svg("text", { x: left.x(best[0]), y: left.y(best[1]) + 0.35 * left.unit, "text-anchor": "middle", class: "halo" }, group, "×");
    nnlab.handle(left.svg, {
      x: left.x(start[0]), y: left.y(start[1]), label: "start", value: start[0], text: start.map((v) => nnlab.number(v, 2)).join(", "), fill: ORANGE,
      onMove: (a, b) => move(left.x.inverse(a), left.y.inverse(b)), keys: (dx, dy) => move(start[0] + 0.05 * dx, start[1] + 0.05 * dy),
    });

    const shown = above.map((v) => Math.min(1e3, Math.max(1e-6, v)));
    const right = nnlab.axes(curve, { x: [0, Math.max(steps.value, 2)], y: [1e-6, 1e3], yLog: true, xLabel: "step", yLabel: "loss above its minimum", ratio: 1, label: `loss above its minimum: ${nnlab.number(above[0], 2)} at the start, ${nnlab.number(above[above.length - 1], 2)} at the end` });
    nnlab.line(right.svg, shown.map((v, k) => [right.x(k), right.y(v)]), { stroke: ORANGE, "stroke-width": 2.4 });
    nnlab.dot(right.svg, right.x(path.length - 1), right.y(shown[shown.length - 1]), { fill: ORANGE, r: 0.3 * right.unit });

    const [steep, flat] = [top, low].map((l) => nnlab.number(1 - eta * l, 2));
    const end = `After ${path.length - 1} steps the loss is ${nnlab.number(above[above.length - 1], 2)} above its minimum.`;
    says(count < xs.length
      ? `Every step takes the gradient of ${count === 1 ? "one example" : `${count} of ${xs.length} examples`}: right on average, but noisy. The path does not come to rest. ${end}`
      : `A step multiplies the distance by ${steep} along the steep direction, by ${flat} along the flat one. ${rate.value > 1 ? "It leaves the minimum." : rate.value === 1 ? "It jumps to and fro." : ""} ${end}`);
  }
  draw();
  return draw;
});
