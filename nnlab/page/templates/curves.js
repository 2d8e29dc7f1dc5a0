"use strict";
// Curves of training: one line per setting, with a band where it stands for several trainings, and a slider that
// reads the values at a step. data: metric -> { label, lines: [{name, split, points: [step, value, …], low, high}] }
nnlab.widget("curves", (root, data) => {
  const MOST = 8; // lines at once: each has a colour of its own, and a dash
  const DASHES = [null, "9 4", "2 4", "9 4 2 4"];
  const metrics = Object.keys(data);
  const ALL = "all";
  const kinds = [...new Set(Object.values(data).flatMap(({ lines }) => lines.map((line) => line.split)))];
  const few = Object.values(data).every(({ lines }) => lines.length <= MOST);
  const splits = kinds.length > 1 ? (few ? [ALL, ...kinds] : [...kinds, ALL]) : [ALL];
  const options = metrics.map((key) => [key, data[key].label]);
  const metric = nnlab.choice(root, { label: "metric", options, value: metrics.includes("loss") ? "loss" : metrics[0] }, change);
  const split = splits.length > 1 ? nnlab.choice(root, { label: "data", options: splits.map((name) => [name, name || "other"]) }, change) : { value: ALL };
  const of = (key, name) => data[key].lines.filter((line) => name === ALL || line.split === name);
  const chosen = () => of(metric.value, split.value);
  const pages = Math.max(...metrics.flatMap((key) => splits.map((name) => Math.ceil(of(key, name).length / MOST))));
  const part = pages > 1 ? nnlab.choice(root, { label: "lines", options: Array.from({ length: pages }, (_, i) => [String(i), `${MOST * i + 1} to ${MOST * (i + 1)}`]) }, change) : null;
  const pairs = (flat) => flat.flatMap((value, i) => (i % 2 ? [] : [[value, flat[i + 1]]]));

  /** Whether the values have more than a decade, and the gaps between steps grow: then an axis is logarithmic. */
  const spans = (lines, k) => {
    const all = lines.flatMap((line) => pairs(line.points).map((point) => point[k])).filter((value) => k === 1 || value > 0);
    return all.length > 0 && all.every((value) => value > 0) && Math.max(...all) > 10 * Math.min(...all);
  };
  const grows = (lines) => lines.some(({ points }) => {
    const steps = pairs(points).map(([a]) => a).filter((a) => a > 0);
    const last = steps.length - 1;
    return last > 4 && steps[last] - steps[last - 1] > 4 * (steps[1] - steps[0]);
  });
  const logX = nnlab.check(root, { label: "steps on a logarithmic scale", checked: grows(chosen()) }, draw);
  const logY = nnlab.check(root, { label: "values on a logarithmic scale", checked: spans(chosen(), 1) }, draw);
  const chart = nnlab.panel(root);
  const slider = nnlab.slider(root, { label: "step", min: 0, max: 1000, value: 1000, text: () => "" }, draw);
  const legend = nnlab.legend(root);
  const says = nnlab.says(root);

  function change() {
    logY.checked = spans(chosen(), 1);
    draw();
  }

  const fits = ([a, b]) => (!logX.checked || a > 0) && (!logY.checked || b > 0);
  const ends = (values) => [Math.min(...values), Math.max(...values)];

  function draw() {
    const all = chosen();
    const first = part && MOST * part.value < all.length ? MOST * part.value : 0;
    const drawn = all.slice(first, first + MOST).map((line, i) => ({
      ...line,
      shown: pairs(line.points).filter(fits),
      stroke: nnlab.colours[i % nnlab.colours.length],
      dash: DASHES[i % DASHES.length],
    })).filter(({ shown }) => shown.length > 0);
    if (drawn.length === 0) {
      chart.replaceChildren();
      legend([]);
      says(all.length ? "No value is above 0: a logarithmic scale has no place for them." : "Not measured there.");
      return;
    }
    const { label } = data[metric.value];
    const [xs, ys] = [0, 1].map((k) => ends(drawn.flatMap(({ shown }) => shown.map((point) => point[k]))));
    const { svg, x, y, box } = nnlab.axes(chart, {
      x: xs, y: ys, xLog: logX.checked, yLog: logY.checked, xLabel: "step", yLabel: label, label: `${label} over steps`,
    });
    const inside = (value) => Math.min(Math.max(value, ys[0]), ys[1]);
    for (const { shown, stroke, dash, low, high, points } of drawn) {
      if (low) {
        const at = pairs(points).map(([a], i) => [a, low[i], high[i]]).filter(([a]) => !logX.checked || a > 0);
        const edge = [...at.map(([a, , b]) => [x(a), y(inside(b))]), ...at.reverse().map(([a, b]) => [x(a), y(inside(b))])];
        nnlab.line(svg, edge, { fill: stroke, "fill-opacity": 0.15, stroke: "none" });
      }
      nnlab.line(svg, shown.map(([a, b]) => [x(a), y(b)]), { stroke, "stroke-dasharray": dash });
    }
    const at = nnlab.scale([0, 1000], xs, false)(slider.value);
    const step = logX.checked ? x.inverse(box.left + (slider.value / 1000) * (box.right - box.left)) : at;
    nnlab.line(svg, [[x(step), box.top], [x(step), box.bottom]], { class: "cursor", stroke: nnlab.paint.ink, "stroke-width": 1, "stroke-dasharray": "3 3" });
    legend(drawn.map(({ name, split: kind, shown, stroke, dash }) => {
      const [a, b] = shown.findLast(([a]) => a <= step * (1 + 1e-9)) || shown[0];
      nnlab.dot(svg, x(a), y(b), { fill: stroke });
      const words = [name, split.value === ALL && kinds.length > 1 ? kind : ""].filter(Boolean).join(", ");
      return { name: `${words || label}: ${nnlab.number(b)}`, stroke, dash };
    }));
    const hidden = all.length - drawn.length;
    says([
      `At step ${nnlab.number(Math.round(step))}.`,
      drawn.some(({ low }) => low) ? "Lines are medians; bands reach from the smallest to the largest training, of ten and more without the outer tenths." : "",
      hidden ? `${hidden} more under “lines”.` : "",
    ].filter(Boolean).join(" "));
    slider.input.setAttribute("aria-valuetext", `step ${nnlab.number(step)}`);
  }
  draw();
  return draw;
});
