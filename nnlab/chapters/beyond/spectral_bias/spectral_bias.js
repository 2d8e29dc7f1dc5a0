"use strict";
// The share of every harmonic that is left in the residual: bars at one step, curves over all of them.
// data: {kinds: [{name, harmonics, eigenvalues: nλ_k, lr, steps, shares: harmonic by step}]}
nnlab.widget("spectral_bias", (root, { kinds }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const chosen = nnlab.choice(root, { label: "networks", options: kinds.map((kind, i) => [i, kind.name]) }, draw);
  const [bars, curves] = nnlab.panels(root, 2);
  nnlab.legend(root, [{ name: "networks, measured", stroke: BLUE, mark: true }, { name: "predicted, (1 − ηnλ)ᵏ", stroke: ORANGE }]);
  const time = nnlab.slider(root, { label: "time", min: 0, max: 100, value: 50, text: (i) => `${nnlab.number(i)} %` }, draw);
  const says = nnlab.says(root);

  function draw() {
    const { name, harmonics, eigenvalues, lr, steps, shares } = kinds[Number(chosen.value)];
    const at = Math.round((time.value / 100) * (steps.length - 1));
    const step = steps[at];
    const last = steps[steps.length - 1];
    const most = harmonics[harmonics.length - 1];
    const predicted = (i, s) => (1 - lr * eigenvalues[i]) ** s;
    const left = nnlab.axes(bars, { x: [0.3, most + 0.7], y: [0, 1.05], xLabel: "harmonic k", yLabel: "share left in the residual", ratio: 1.2, xTicks: harmonics, label: `shares at step ${step}` });
    harmonics.forEach((k, i) => {
      const height = left.y(Math.max(0, predicted(i, step)));
      nnlab.svg("line", { x1: left.x(k), x2: left.x(k), y1: left.y(0), y2: height, stroke: ORANGE, "stroke-width": 14 }, left.svg);
      nnlab.dot(left.svg, left.x(k), left.y(Math.max(0, shares[i][at])), { fill: BLUE, r: 6 });
    });

    const right = nnlab.axes(curves, { x: [1, last], y: [0, 1.05], xLog: true, xLabel: "step", yLabel: "share left in the residual", ratio: 1.2, label: "shares over the steps" });
    const grid = nnlab.spaced(1, last, 140, true);
    harmonics.forEach((k, i) => {
      nnlab.line(right.svg, grid.map((s) => [right.x(s), right.y(predicted(i, s))]), { stroke: ORANGE, "stroke-width": 1.4 });
      const seen = steps.map((s, j) => [s, shares[i][j]]).filter(([s]) => s > 0);
      nnlab.line(right.svg, seen.map(([s, v]) => [right.x(s), right.y(Math.max(0, v))]), { stroke: nnlab.ordered(i, harmonics.length), "stroke-width": 2.6 });
      const [s, v] = seen.findLast(([a]) => a <= last ** (0.15 + (0.8 * i) / harmonics.length)) || seen[0];
      nnlab.svg("text", { x: right.x(s) + 5, y: right.y(Math.max(0, v)) - 5 }, right.svg, `k = ${k}`);
    });
    if (step > 0) nnlab.across(right, { x: step });

    const half = harmonics.filter((_, i) => shares[i][at] < 0.5);
    const never = harmonics.filter((_, i) => eigenvalues[i] === 0);
    const words = [`Networks ${name}, step ${nnlab.number(step)}: ${half.length ? `more than half is learned of k = ${half.join(", ")}` : "of no harmonic more than half is learned"}.`];
    words.push(`Half-lives: ${harmonics.map((k, i) => (eigenvalues[i] > 0 ? `k = ${k}: ${nnlab.number(Math.log(2) / -Math.log(1 - lr * eigenvalues[i]), 3)} steps` : null)).filter(Boolean).join(", ")}.`);
    if (never.length) words.push(`k = ${never.join(", ")} ${never.length > 1 ? "are" : "is"} never learned.`);
    says(words.join(" "));
  }
  draw();
  return draw;
});
