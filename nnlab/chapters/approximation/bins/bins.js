"use strict";
// The histogram y of f with N bins, the band that it never leaves, and its error beside ε.
// data: {low, high, f: values at evenly spread places, lipschitz or null, epsilon or null,
//        sharpness: w(b − a)/N of the run's sigmoids or null, certified: [[N, error of those]]}
nnlab.widget("bins", (root, { low, high, f, lipschitz, epsilon, sharpness, certified }) => {
  const MOST = 200;
  const [BLUE, ORANGE, GREEN] = nnlab.colours;
  const length = high - low;
  const [least, greatest] = [Math.min(...f), Math.max(...f)];
  const range = greatest - least || 1;
  const place = (i) => low + (length * i) / (f.length - 1);
  const value = (x) => {
    const at = Math.min(f.length - 1, Math.max(0, ((x - low) / length) * (f.length - 1)));
    const i = Math.min(Math.floor(at), f.length - 2);
    return f[i] + (at - i) * (f[i + 1] - f[i]);
  };
  const bound = (n) => (lipschitz * length) / (2 * n);
  const needed = (e) => Math.max(1, Math.ceil(((lipschitz * length) / (2 * e)) * (1 - 1e-12)));
  const tolerances = [1, 0.1, 0.01, 0.001, 0.0001].flatMap((power) => [9, 7, 5, 4, 3, 2, 1.5, 1].map((m) => Number((m * power).toPrecision(2))))
    .concat(epsilon ?? []).filter((e) => e <= range / 2 && (lipschitz ? bound(MOST) : range / MOST) <= e * (1 + 1e-12)).sort((a, b) => b - a);
  if (tolerances.length === 0) tolerances.push(range / 4);

  const SIGMOIDS = "steep sigmoids", HARD = "hard";
  const kind = sharpness ? nnlab.choice(root, { label: "steps", options: [SIGMOIDS, HARD] }, draw) : { value: HARD };
  const [fit, error] = nnlab.panels(root, 2);
  nnlab.legend(root, [
    { name: "f", stroke: BLUE },
    { name: "histogram y", stroke: ORANGE },
    ...(lipschitz ? [{ name: "f ± L(b − a)/2N", fill: nnlab.paint.band }] : []),
    { name: "ε", stroke: "currentColor", dash: "4 3" },
  ]);
  const bins = nnlab.slider(root, { label: "bins N", min: 1, max: MOST, value: 5 }, draw);
  const first = tolerances.indexOf(epsilon ?? 0.1);
  const tolerance = nnlab.slider(root, {
    label: "error ε", min: 0, max: tolerances.length - 1, value: first < 0 ? Math.floor(tolerances.length / 2) : first,
    text: (i) => nnlab.number(tolerances[i]),
  }, draw);
  if (lipschitz) {
    nnlab.button(root, "as many bins as ε needs", () => {
      bins.value = needed(tolerances[tolerance.value]);
      draw();
    });
  }
  const says = nnlab.says(root);

  /** [x, y, |y − f|] of the histogram, bin after bin, at every place of f and at both ends of each bin. */
  function histogram(n) {
    const edge = (i) => low + (length * i) / n;
    const heights = Array.from({ length: n }, (_, i) => value((edge(i) + edge(i + 1)) / 2));
    const w = (sharpness * n) / length;
    const REACH = 3; // edges beyond add less than e^(−50) of a height
    // y = h₀ + Σ (hᵢ − hᵢ₋₁) σ(w(x − eᵢ)), the sum taken over the edges near x.
    const smooth = (x, j) => {
      let y = heights[Math.max(0, j - REACH)];
      for (let i = Math.max(1, j - REACH + 1); i <= Math.min(n - 1, j + REACH); i++) y += (heights[i] - heights[i - 1]) / (1 + Math.exp(-w * (x - edge(i))));
      return y;
    };
    const around = kind.value === HARD ? [] : nnlab.spaced(0, 10 / w, 11);
    return heights.flatMap((height, j) => {
      const [left, right] = [edge(j), edge(j + 1)];
      const xs = [left, right, ...around.flatMap((d) => [left + d, right - d])];
      for (let i = Math.ceil(((left - low) / length) * (f.length - 1)); i < f.length && place(i) < right; i++) xs.push(place(i));
      return xs.filter((x) => x >= left && x <= right).sort((a, b) => a - b).map((x) => {
        const y = kind.value === HARD ? height : smooth(x, j);
        return [x, y, Math.abs(y - value(x))];
      });
    });
  }

  function draw() {
    const [n, e] = [bins.value, tolerances[tolerance.value]];
    const points = histogram(n);
    const worst = points.reduce((most, point) => Math.max(most, point[2]), 0);
    const ys = [least - 0.2 * range, greatest + 0.2 * range];
    const left = nnlab.axes(fit, { x: [low, high], y: ys, xLabel: "x", ratio: 0.7, label: `f and its histogram of ${n} bins` });
    if (lipschitz) {
      const inside = (y) => left.y(Math.min(ys[1], Math.max(ys[0], y)));
      const upper = f.map((y, i) => `${left.x(place(i)).toFixed(1)} ${inside(y + bound(n)).toFixed(1)}`);
      const lower = f.map((y, i) => `${left.x(place(i)).toFixed(1)} ${inside(y - bound(n)).toFixed(1)}`).reverse();
      nnlab.svg("path", { d: `M${upper.concat(lower).join("L")}Z`, class: "band" }, left.svg);
    }
    nnlab.line(left.svg, f.map((y, i) => [left.x(place(i)), left.y(y)]), { stroke: BLUE });
    nnlab.line(left.svg, points.map(([x, y]) => [left.x(x), left.y(y)]), { stroke: ORANGE });

    const top = 1.15 * Math.max(worst, e, lipschitz && bound(n) < 3 * Math.max(worst, e) ? bound(n) : 0);
    const right = nnlab.axes(error, { x: [low, high], y: [0, top], xLabel: "x", yLabel: "|y − f|", ratio: 0.7, label: `error of the histogram; largest ${nnlab.number(worst)}` });
    nnlab.line(right.svg, points.map(([x, , e]) => [right.x(x), right.y(e)]), { stroke: ORANGE, "stroke-width": 1.6 });
    nnlab.across(right, { y: e });
    if (lipschitz && bound(n) <= top) nnlab.across(right, { y: bound(n) }, { class: "", stroke: GREEN, "stroke-dasharray": null, "stroke-width": 2.2 });

    const proved = kind.value === SIGMOIDS && certified.find(([m]) => m === n);
    const words = [`${n} ${n === 1 ? "bin" : "bins"}: largest error ${nnlab.number(worst)}${proved ? ` (certified: at most ${nnlab.number(proved[1])})` : ""}`
      + (lipschitz ? `, never above L(b − a)/2N = ${nnlab.number(bound(n))}.` : ".")];
    if (lipschitz) {
      const enough = needed(e);
      words.push(`ε = ${nnlab.number(e)} takes ⌈L(b − a)/2ε⌉ = ${enough}: ${n >= enough ? "these are enough." : worst <= e ? "fewer do for this f, not for every f with this L." : "these are not enough."}`);
    } else {
      words.push(`f has no bounded slope, so no number of bins follows from ε; these ${worst <= e ? "reach" : "do not reach"} it.`);
    }
    says(words.join(" "));
  }
  draw();
  return draw;
});
