"use strict";
// Training losses of several settings over the epochs, one of them in front. data: {epochs, lines: [{name, loss}], of}
nnlab.widget("progress", (root, { epochs, lines, of }) => {
  const style = (i) => ({ stroke: nnlab.colours[i % nnlab.colours.length], "stroke-dasharray": nnlab.dash(i) });
  const front = nnlab.choice(root, { label: of, options: lines.map(({ name }, i) => [i, name]), value: 0 }, draw);
  const chart = nnlab.panel(root);
  const time = nnlab.slider(root, { label: "epoch", min: 0, max: epochs.length - 1, value: epochs.length - 1, text: (i) => nnlab.number(epochs[i]) }, draw);
  nnlab.legend(root, lines.map(({ name }, i) => ({ name, stroke: style(i).stroke, dash: style(i)["stroke-dasharray"] })));
  const says = nnlab.says(root);

  function draw() {
    const [chosen, at] = [Number(front.value), time.value];
    const all = lines.flatMap(({ loss }) => loss);
    const axes = nnlab.axes(chart, { x: [epochs[0], epochs[epochs.length - 1]], y: [Math.min(...all) / 1.3, Math.max(...all) * 1.3], yLog: true, xLabel: "epoch", yLabel: "training loss", ratio: 0.6, label: `training loss over the epochs for ${lines.length} settings` });
    nnlab.across(axes, { x: epochs[at] });
    lines.forEach(({ loss }, i) => {
      nnlab.line(axes.svg, loss.map((v, k) => [axes.x(epochs[k]), axes.y(v)]), { ...style(i), "stroke-width": i === chosen ? 5 : 2.4 });
      nnlab.dot(axes.svg, axes.x(epochs[at]), axes.y(loss[at]), { fill: style(i).stroke, r: (i === chosen ? 0.36 : 0.2) * axes.unit });
    });
    const order = lines.map((_, i) => i).sort((a, b) => lines[a].loss[at] - lines[b].loss[at]);
    const [least, most] = [lines[order[0]], lines[order[order.length - 1]]];
    says(`Loss after epoch ${nnlab.number(epochs[at])}: ${lines[chosen].name} ${nnlab.number(lines[chosen].loss[at], 3)}, number ${order.indexOf(chosen) + 1} of ${lines.length}. Lowest: ${least.name}, ${nnlab.number(least.loss[at], 3)}; highest: ${most.name}, ${nnlab.number(most.loss[at], 3)}.`);
  }
  draw();
  return draw;
});
