"use strict";
// Predict first: the reader draws a guess, then sees what was measured.
// data: {question, x, measured, predicted, interval, xLabel, yLabel, given, handles: [index], options: [[words, y]], limits, log}
nnlab.widget("guess", (root, { question, x, measured, predicted, interval, xLabel, yLabel, given, handles, options, limits, log }) => {
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const OWN = "own";
  const own = handles.map(() => measured[given - 1]); // at the start: nothing changes
  const option = nnlab.choice(root, { label: "my guess", options: [[OWN, "I draw it"], ...options.map(([words], i) => [i, words])], value: OWN }, draw);
  const shown = nnlab.check(root, { label: "show the measurement" }, draw);
  const chart = nnlab.panel(root);
  const legend = nnlab.legend(root);
  const says = nnlab.says(root);
  nnlab.keep(root, "drawn", {
    get: () => (own.every((y) => y === measured[given - 1]) ? "" : own.map((y) => y.toPrecision(3)).join("_")),
    set: (text) => {
      const values = text.split("_").map(Number);
      if (values.length !== own.length || !values.every((y) => y >= limits[0] && y <= limits[1])) return;
      own.splice(0, own.length, ...values);
      draw();
    },
  });

  const guessed = () => (option.value === OWN ? own : handles.map((i) => options[option.value][1][i]));
  const within = (y) => Math.min(limits[1], Math.max(limits[0], y));

  /** Moves one point of the guess; the others stay where they are, also those of a chosen sentence. */
  const move = (k, y) => {
    own.splice(0, own.length, ...guessed());
    own[k] = within(y);
    option.value = OWN;
    draw();
  };

  function draw() {
    const guess = guessed();
    const axes = nnlab.axes(chart, {
      x: log ? [x[0] / 1.15, x[x.length - 1] * 1.15] : [x[0], x[x.length - 1]], y: limits, xLog: log, yLog: log, xLabel, yLabel, ratio: 0.65,
      label: shown.checked ? `${yLabel}: the guess, the measurement${predicted ? " and the theory" : ""}` : `${yLabel}: the guess`,
    });
    const place = (i, y) => [axes.x(x[i]), axes.y(y)];
    const curve = (ys, values) => nnlab.line(axes.svg, ys.map((y, i) => place(i, within(y))), values);
    const mark = (i) => nnlab.dot(axes.svg, ...place(i, measured[i]), { fill: BLUE, r: 0.36 * axes.unit });
    if (shown.checked) {
      interval?.forEach(([low, high], i) => nnlab.line(axes.svg, [place(i, within(low)), place(i, within(high))], { stroke: BLUE, "stroke-width": 4, opacity: 0.4 }));
      curve(measured, { stroke: BLUE, "stroke-width": 2.6 });
      if (x.length <= 12) x.forEach((_, i) => mark(i));
      if (predicted) curve(predicted, { stroke: GREEN, "stroke-dasharray": "9 5", "stroke-width": 3 });
    } else {
      nnlab.line(axes.svg, measured.slice(0, given).map((y, i) => place(i, y)), { stroke: BLUE, "stroke-width": 2.6 });
    }
    mark(given - 1);
    nnlab.line(axes.svg, [place(given - 1, measured[given - 1]), ...handles.map((i, k) => place(i, guess[k]))], { stroke: ORANGE, "stroke-dasharray": "3 4", "stroke-width": 3 });
    const step = log ? (limits[1] / limits[0]) ** 0.01 : (limits[1] - limits[0]) / 100;
    handles.forEach((i, k) => {
      const [px, py] = place(i, guess[k]);
      nnlab.handle(axes.svg, {
        x: px, y: py, label: `guess at ${xLabel} ${nnlab.number(x[i])}`, value: guess[k], text: nnlab.number(guess[k], 3), fill: ORANGE,
        onMove: (_, to) => move(k, axes.y.inverse(to)), keys: (_, up) => move(k, log ? guess[k] * step ** up : guess[k] + up * step),
      });
    });
    legend([
      { name: option.value === OWN ? "my guess" : `my guess: ${options[option.value][0]}`, stroke: ORANGE, dash: "3 4" },
      { name: shown.checked ? "measured" : "measured, the beginning", stroke: BLUE },
      ...(shown.checked && predicted ? [{ name: "theory", stroke: GREEN, dash: "9 5" }] : []),
    ]);
    says(shown.checked ? verdict(guess) : `${question} Drag the points, then show the measurement.`);
  }

  /** By how much the guess was off. */
  function verdict(guess) {
    const at = [given - 1, ...handles];
    const ys = [measured[given - 1], ...guess];
    const far = nnlab.guess.farthest(guess, handles.map((i) => measured[i]), log);
    const where = `${xLabel} = ${nnlab.number(x[handles[far.at]])}`;
    const off = log
      ? (far.off < 1.1 ? "It is nowhere off by more than a tenth." : `At ${where} it is ${nnlab.number(far.off, 2)} times too ${far.high ? "large" : "small"}.`)
      : `At ${where} it is ${nnlab.number(far.off, 2)} too ${far.high ? "large" : "small"}.`;
    if (!log) return `Your guess, measured against the curve: ${off}`;
    const slope = (values) => nnlab.guess.exponent(at.map((i) => x[i]), values);
    const pick = (curve) => at.map((i) => curve[i]);
    const theory = predicted ? `, theory ${nnlab.number(slope(pick(predicted)), 2)}` : "";
    return `You guessed the exponent ${nnlab.number(slope(ys), 2)}; measured ${nnlab.number(slope(pick(measured)), 2)}${theory}. ${off}`;
  }

  draw();
  return draw;
});

nnlab.guess = {
  /** The exponent of a power law: the least-squares slope of log y over log x. */
  exponent: (x, y) => {
    const [u, v] = [x, y].map((values) => values.map(Math.log));
    const mean = (values) => values.reduce((sum, value) => sum + value, 0) / values.length;
    const [mu, mv] = [mean(u), mean(v)];
    return mean(u.map((a, i) => (a - mu) * (v[i] - mv))) / mean(u.map((a) => (a - mu) ** 2));
  },

  /** Where a guess is farthest from the truth, and by how much: a factor of at least 1 if `log`, else a difference. */
  farthest: (guess, truth, log) => {
    const off = guess.map((y, i) => (log ? Math.max(y / truth[i], truth[i] / y) : Math.abs(y - truth[i])));
    const at = off.indexOf(Math.max(...off));
    return { at, off: off[at], high: guess[at] > truth[at] };
  },
};
