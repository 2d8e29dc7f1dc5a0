"use strict";
// The kernel H(t) in training as an image, its change H(t) − H(0), and the size of that over time.
// data: {steps, networks: [{width, start: packed (n, n), change: packed (M, n, n), relative: [‖H(t) − H(0)‖/‖H(0)‖]}]}
nnlab.widget("drift", (root, { steps, networks }) => {
  const colour = (i) => nnlab.ordered(i, networks.length);
  const chosen = nnlab.choice(root, { label: "width m", options: networks.map(({ width }, i) => [i, String(width)]), value: 0 }, draw);
  const CHANGE = "H(t) − H(0)";
  const shown = nnlab.choice(root, { label: "image", options: ["H(t)", CHANGE] }, draw);
  const [picture, over] = nnlab.panels(root, 2);
  nnlab.legend(root, networks.map(({ width }, i) => ({ name: `m = ${width}`, stroke: colour(i), dash: nnlab.dash(i) })));
  const time = nnlab.slider(root, { label: "step", min: 0, max: steps.length - 1, value: steps.length - 1, text: (i) => nnlab.number(steps[i]) }, draw);
  const says = nnlab.says(root);
  const unpacked = networks.map(({ start, change: moved }) => ({ n: start.shape[0], start: nnlab.unpacked(start), moved: nnlab.unpacked(moved) }));
  const largest = Math.max(...unpacked.flatMap(({ start }) => [...start].map(Math.abs)));
  const most = Math.max(...unpacked.flatMap(({ moved }) => [...moved].map(Math.abs)));

  function image(panel, title, n, value, scale) {
    const { svg, cell, top } = nnlab.sheet(panel, { title, columns: n, rows: n, most: 420 });
    nnlab.pixels(svg, n, n, (r, c) => nnlab.signed(value(r * n + c) / scale), { x: 0, y: top, width: n * cell });
  }

  function draw() {
    const [i, k] = [Number(chosen.value), time.value];
    const { n, start, moved } = unpacked[i];
    const diff = (at) => moved[k * n * n + at];
    if (shown.value === CHANGE) image(picture, `H(t) − H(0), colours × ${nnlab.number(largest / most, 2)}`, n, diff, most);
    else image(picture, "H(t)", n, (at) => start[at] + diff(at), largest);
    const later = steps.map((_, j) => j).filter((j) => steps[j] > 0);
    const top = 1.15 * Math.max(...networks.flatMap(({ relative }) => relative));
    const axes = nnlab.axes(over, { x: [1, steps[steps.length - 1]], y: [0, top], xLog: true, xLabel: "step", yLabel: "‖H(t) − H(0)‖/‖H(0)‖", ratio: 1.3, label: "relative change of the kernel over the steps" });
    networks.forEach(({ relative }, j) => {
      nnlab.line(axes.svg, later.map((at) => [axes.x(steps[at]), axes.y(relative[at])]), { stroke: colour(j), "stroke-width": j === i ? 4.5 : 2.4, "stroke-dasharray": nnlab.dash(j) });
    });
    if (steps[k] > 0) {
      nnlab.across(axes, { x: steps[k] });
      nnlab.dot(axes.svg, axes.x(steps[k]), axes.y(networks[i].relative[k]), { fill: colour(i), r: 0.3 * axes.unit });
    }
    const all = networks.map(({ width, relative }) => `${nnlab.number(100 * relative[k], 2)}% at m = ${width}`);
    says(`After ${nnlab.number(steps[k])} ${steps[k] === 1 ? "step" : "steps"} the kernel has changed by ${all.join(", ")}. One network of each width; blue is positive, vermillion negative.`);
  }
  draw();
  return draw;
});
