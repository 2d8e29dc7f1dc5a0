"use strict";
// What many networks say at one angle of the circle, as a histogram beside predicted normal densities.
// data: {angles, points, targets, kinds: [{name, functions: networks × angles, packed, mean, std}]}
nnlab.widget("ensembles", (root, { angles, points, targets, kinds }) => {
  const [BLUE, ORANGE] = nnlab.colours;
  const values = kinds.map((kind) => nnlab.unpacked(kind.functions));
  const count = kinds[0].functions.shape[0];
  const chosen = nnlab.choice(root, { label: "networks", options: kinds.map((kind, i) => [i, kind.name]), value: 1 }, draw);
  const [circle, spread] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: `${count} networks, measured`, stroke: "currentColor" }, { name: "predicted", stroke: ORANGE }, { name: "predicted for the other training", stroke: BLUE, dash: "6 3" }, { name: "training points", stroke: "currentColor", mark: true },
  ]);
  const angle = nnlab.slider(root, { label: "angle", min: 0, max: angles.length - 1, value: Math.floor(0.7 * angles.length), text: (i) => `${nnlab.number(angles[i])}°` }, draw);
  const says = nnlab.says(root);
  const at = (k, network, i) => values[k][network * angles.length + i];
  const reach = Math.max(...kinds.flatMap((kind) => kind.mean.map((m, i) => Math.abs(m) + 2.6 * kind.std[i])));
  const bell = (v, mean, std) => Math.exp(-(((v - mean) / std) ** 2) / 2) / (std * Math.sqrt(2 * Math.PI));

  function draw() {
    const [k, i] = [Number(chosen.value), angle.value];
    const kind = kinds[k];
    const other = kinds[k === 2 ? 1 : 2];
    const left = nnlab.axes(circle, { x: [0, angles[angles.length - 1]], y: [-reach, reach], xLabel: "angle in degrees", yLabel: "output f", ratio: 1.2, label: `networks on the circle ${kind.name}` });
    for (let network = 0; network < Math.min(30, count); network++) {
      nnlab.line(left.svg, angles.map((a, j) => [left.x(a), left.y(Math.max(-reach, Math.min(reach, at(k, network, j))))]), { stroke: "currentColor", "stroke-width": 0.6, opacity: 0.45 });
    }
    for (const side of [-2, 0, 2]) {
      nnlab.line(left.svg, angles.map((a, j) => [left.x(a), left.y(kind.mean[j] + side * kind.std[j])]), { stroke: ORANGE, "stroke-width": side ? 1.6 : 2.6 });
    }
    if (k > 0) points.forEach((a, j) => nnlab.dot(left.svg, left.x(a), left.y(targets[j]), { fill: "currentColor", r: 5 }));
    nnlab.across(left, { x: angles[i] });

    const sample = Array.from({ length: count }, (_, network) => at(k, network, i));
    const mean = sample.reduce((a, b) => a + b, 0) / count;
    const std = Math.sqrt(sample.reduce((a, b) => a + (b - mean) ** 2, 0) / (count - 1));
    const bins = 24;
    const half = 4 * Math.max(std, kind.std[i], 1e-3);
    const [low, width] = [kind.mean[i] - half, (2 * half) / bins];
    const heights = new Array(bins).fill(0);
    for (const v of sample) {
      const bin = Math.floor((v - low) / width);
      if (bin >= 0 && bin < bins) heights[bin] += 1 / (count * width);
    }
    const grid = nnlab.spaced(low, low + 2 * half, 160);
    const curve = (m, s) => grid.map((v) => bell(v, m, Math.max(s, 1e-3)));
    const [mine, theirs] = [curve(kind.mean[i], kind.std[i]), curve(other.mean[i], other.std[i])];
    const top = 1.1 * Math.max(...heights, ...mine, Math.min(2 * Math.max(...mine), Math.max(...theirs)));
    const right = nnlab.axes(spread, { x: [low, low + 2 * half], y: [0, top], xLabel: "output f", yLabel: "density", ratio: 1.2, label: `outputs at ${nnlab.number(angles[i])} degrees` });
    heights.forEach((height, bin) => nnlab.svg("rect", {
      x: right.x(low + bin * width), y: right.y(height), width: right.x(low + width) - right.x(low), height: right.y(0) - right.y(height), class: "shade",
    }, right.svg));
    const within = (curveOf) => grid.map((v, j) => [right.x(v), curveOf[j] <= top ? right.y(curveOf[j]) : NaN]);
    nnlab.line(right.svg, within(theirs), { stroke: BLUE, "stroke-width": 1.8, "stroke-dasharray": "6 3" });
    nnlab.line(right.svg, within(mine), { stroke: ORANGE, "stroke-width": 2.6 });
    says(`${kind.name[0].toUpperCase()}${kind.name.slice(1)}, at ${nnlab.number(angles[i])}°: mean ${nnlab.number(mean, 3)} and standard deviation ${nnlab.number(std, 3)} over ${count} networks; predicted ${nnlab.number(kind.mean[i], 3)} and ${nnlab.number(kind.std[i], 3)}. The other training would give ${nnlab.number(other.mean[i], 3)} and ${nnlab.number(other.std[i], 3)}.`);
  }
  draw();
  return draw;
});
