"use strict";
// The lecture's example: a network of hidden layers of one width beside the function that it learns, step by step.
// data: {steps, x, target, points: [[x, y]], networks: [{width, functions, linearizations: moment by x, weights: layer by moment by to by from}]}
nnlab.widget("example", (root, { steps, x: places, target, points, networks }) => {
  const [, ORANGE, GREEN] = nnlab.colours;
  const chosen = nnlab.choice(root, { label: "width m", options: networks.map(({ width }, i) => [i, String(width)]), value: 0 }, draw);
  const [net, chart] = nnlab.panels(root, 2, 16);
  nnlab.legend(root, [
    { name: "target", stroke: "currentColor", dash: "4 4" }, { name: "network", stroke: ORANGE }, { name: "examples", stroke: GREEN, mark: true },
  ]);
  const time = nnlab.slider(root, { label: "step of descent", min: 0, max: steps.length - 1, value: 0, text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const all = networks.flatMap(({ functions, linearizations }) => [functions, linearizations].flat(2)).concat(target);
  const [low, high] = [Math.min(...all), Math.max(...all)];

  /** Entries between the first units and the last one at their places in a matrix of the whole layer. */
  const spread = (matrix, rows, columns) => {
    const at = (i, kept, n) => (i === kept - 1 ? n - 1 : i);
    const found = [];
    matrix.forEach((row, r) => {
      const line = (found[at(r, matrix.length, rows)] = []);
      row.forEach((w, c) => { line[at(c, row.length, columns)] = w; });
    });
    return found;
  };

  function draw() {
    const k = time.value;
    const { width, functions, weights } = networks[chosen.value];
    const layers = [1, ...weights.slice(1).map(() => width), 1];
    nnlab.network(net, {
      layers, weights: weights.map((layer, l) => spread(layer[k], layers[l + 1], layers[l])), labels: layers.map((_, l) => (l === 0 ? ["x"] : l === layers.length - 1 ? [...Array(layers[l])].map(() => "f") : [])),
      rows: weights[0][0].length + 1, label: `a network with ${layers.length - 2} hidden layers of width ${width}; the weights of some units at step ${steps[k]}`,
    });
    const pad = 0.06 * (high - low);
    const { svg, x, y, unit } = nnlab.axes(chart, { x: [places[0], places[places.length - 1]], y: [low - pad, high + pad], xLabel: "x", ratio: 1.2, label: `target and network at step ${steps[k]}` });
    const curve = (values, style) => nnlab.line(svg, places.map((at, i) => [x(at), y(values[i])]), style);
    curve(target, { stroke: "currentColor", "stroke-dasharray": "4 4", "stroke-width": 1.8 });
    curve(functions[k], { stroke: ORANGE, "stroke-width": 3.4 });
    for (const [a, b] of points) nnlab.dot(svg, x(a), y(b), { fill: GREEN, r: 0.22 * unit });

    const flat = (moment) => weights.flatMap((layer) => layer[moment].flat());
    const [before, now] = [flat(0), flat(k)];
    const size = (values) => Math.sqrt(values.reduce((s, v) => s + v * v, 0));
    const moved = size(now.map((w, i) => w - before[i])) / size(before);
    says(`Step ${nnlab.number(steps[k])}, ${layers.length - 2} hidden layers of m = ${width}: the weights that are drawn have moved by ${nnlab.number(100 * moved, 2)}% of their size since the start.`);
  }
  draw();
  return draw;
});

// The same networks, each beside its linearization, and how far apart they are over the steps. data: that of "example"
nnlab.widget("linearization", (root, { steps, x: places, target, points, networks }) => {
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const colour = (i) => nnlab.ordered(i, networks.length);
  const chosen = nnlab.choice(root, { label: "width m", options: networks.map(({ width }, i) => [i, String(width)]), value: 0 }, draw);
  const [chart, apart] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "target", stroke: "currentColor", dash: "4 4" }, { name: "network", stroke: ORANGE }, { name: "linearized", stroke: BLUE, dash: "9 5" }, { name: "examples", stroke: GREEN, mark: true },
    ...networks.map(({ width }, i) => ({ name: `apart, m = ${width}`, stroke: colour(i), dash: nnlab.dash(i) })),
  ]);
  const time = nnlab.slider(root, { label: "step of descent", min: 0, max: steps.length - 1, value: steps.length - 1, text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const all = networks.flatMap(({ functions, linearizations }) => [functions, linearizations].flat(2)).concat(target);
  const pad = 0.06 * (Math.max(...all) - Math.min(...all));
  const limits = [Math.min(...all) - pad, Math.max(...all) + pad];
  const gaps = networks.map(({ functions, linearizations }) => functions.map((row, k) => row.reduce((most, f, i) => Math.max(most, Math.abs(f - linearizations[k][i])), 0)));

  function draw() {
    const [i, k] = [Number(chosen.value), time.value];
    const { functions, linearizations } = networks[i];
    const left = nnlab.axes(chart, { x: [places[0], places[places.length - 1]], y: limits, xLabel: "x", ratio: 1.2, label: `network and linearization at step ${steps[k]}` });
    const curve = (values, style) => nnlab.line(left.svg, places.map((at, j) => [left.x(at), left.y(values[j])]), style);
    curve(target, { stroke: "currentColor", "stroke-dasharray": "4 4", "stroke-width": 1.8 });
    curve(functions[k], { stroke: ORANGE, "stroke-width": 3.4 });
    curve(linearizations[k], { stroke: BLUE, "stroke-width": 3, "stroke-dasharray": "9 5" });
    for (const [a, b] of points) nnlab.dot(left.svg, left.x(a), left.y(b), { fill: GREEN, r: 0.2 * left.unit });
    const later = steps.map((_, j) => j).filter((j) => steps[j] > 0);
    const sizes = gaps.flatMap((row) => later.map((j) => row[j])).filter((v) => v > 0);
    const right = nnlab.axes(apart, { x: [1, steps[steps.length - 1]], y: [Math.min(...sizes) / 1.5, Math.max(...sizes) * 1.5], xLog: true, yLog: true, xLabel: "step", yLabel: "largest |f − linearized|", ratio: 1.2, label: "how far network and linearization are apart over the steps" });
    gaps.forEach((row, j) => nnlab.line(right.svg, later.map((at) => [right.x(steps[at]), row[at] > 0 ? right.y(row[at]) : NaN]), { stroke: colour(j), "stroke-dasharray": nnlab.dash(j), "stroke-width": j === i ? 4.5 : 2.4 }));
    if (steps[k] > 0) nnlab.across(right, { x: steps[k] });
    const words = networks.map(({ width }, j) => `${nnlab.number(gaps[j][k], 2)} at m = ${width}`);
    says(`Step ${nnlab.number(steps[k])}: network and linearization are apart by at most ${words.join(", ")}. The linearization is a regression that is linear in w, not in x.`);
  }
  draw();
  return draw;
});
