"use strict";
// The kernel of a random network of two hidden ReLU layers at points of the line, with and without biases. Computed here.
(() => {
  /** Weights N(0, 1) of x → m → m → 1 in ntk parameterization; biases N(0, 1) too, or none. */
  const drawn = (m, biases, seed) => {
    const { normal } = nnlab.random(seed);
    const many = (n) => Float64Array.from({ length: n }, normal);
    const [first, second, last] = [many(m), many(m * m), many(m)];
    const b = biases ? [many(m), many(m)] : [new Float64Array(m), new Float64Array(m)];
    return { m, biases, first, second, last, b };
  };

  /**
   * H(x, x') = Σ over layers of δ·δ' (h·h' + 1), h what a layer reads with its factor √(2/fan-in), δ the
   * derivative of the output in its score; the 1 with biases only. The output layer has no bias.
   */
  const kernel = ({ m, biases, first, second, last, b }, xs) => {
    const scale = Math.sqrt(2 / m);
    const passes = xs.map((x) => {
      const h1 = new Float64Array(m), h2 = new Float64Array(m), d1 = new Float64Array(m), d2 = new Float64Array(m), on1 = new Uint8Array(m);
      for (let i = 0; i < m; i++) {
        const score = Math.SQRT2 * first[i] * x + b[0][i];
        on1[i] = score > 0 ? 1 : 0;
        h1[i] = on1[i] * score;
      }
      for (let i = 0; i < m; i++) {
        let score = b[1][i];
        for (let j = 0; j < m; j++) score += scale * second[i * m + j] * h1[j];
        if (score > 0) {
          h2[i] = score;
          d2[i] = scale * last[i];
          for (let j = 0; j < m; j++) d1[j] += scale * second[i * m + j] * d2[i];
        }
      }
      for (let j = 0; j < m; j++) d1[j] *= on1[j];
      return { x, h1, h2, d1, d2 };
    });
    const dot = (u, v) => { let sum = 0; for (let i = 0; i < m; i++) sum += u[i] * v[i]; return sum; };
    const one = biases ? 1 : 0;
    return passes.map((p) => passes.map((q) => dot(p.d1, q.d1) * (2 * p.x * q.x + one) + dot(p.d2, q.d2) * ((2 / m) * dot(p.h1, q.h1) + one) + (2 / m) * dot(p.h2, q.h2)));
  };

  /** Eigenvalues of a symmetric matrix, the largest first, by Jacobi's rotations. */
  const eigenvalues = (matrix) => {
    const a = matrix.map((row) => [...row]);
    const n = a.length;
    for (let sweep = 0; sweep < 60; sweep++) {
      let off = 0, all = 0;
      for (let p = 0; p < n; p++) for (let q = 0; q < n; q++) { all += a[p][q] ** 2; if (p !== q) off += a[p][q] ** 2; }
      if (off <= 1e-34 * all) break;
      for (let p = 0; p < n - 1; p++) {
        for (let q = p + 1; q < n; q++) {
          if (a[p][q] === 0) continue;
          const theta = (a[q][q] - a[p][p]) / (2 * a[p][q]);
          const t = (theta >= 0 ? 1 : -1) / (Math.abs(theta) + Math.hypot(theta, 1));
          const c = 1 / Math.hypot(t, 1), s = t * c;
          for (let k = 0; k < n; k++) { const [u, v] = [a[k][p], a[k][q]]; a[k][p] = c * u - s * v; a[k][q] = s * u + c * v; }
          for (let k = 0; k < n; k++) { const [u, v] = [a[p][k], a[q][k]]; a[p][k] = c * u - s * v; a[q][k] = s * u + c * v; }
        }
      }
    }
    return a.map((row, i) => row[i]).sort((u, v) => v - u);
  };

  const SINGULAR = 1e-13; // of the largest eigenvalue: what rounding makes of 0

  nnlab.widget("rank", (root) => {
    const biases = nnlab.check(root, { label: "biases", checked: true }, draw);
    const twice = nnlab.check(root, { label: "one point given twice" }, draw);
    let seed = 1;
    nnlab.button(root, "other weights", () => { seed += 1; draw(); });
    nnlab.keep(root, "weights", { get: () => (seed === 1 ? "" : String(seed)), set: (text) => { seed = Math.min(1e6, Math.max(1, Math.round(Number(text)) || 1)); draw(); } });
    const [image, spectrum] = nnlab.panels(root, 2);
    nnlab.legend(root, [{ name: "eigenvalue above 0", stroke: nnlab.paint.positive, mark: true }, { name: "0 up to rounding", stroke: nnlab.paint.negative, mark: "hollow" }]);
    const points = nnlab.slider(root, { label: "points n", min: 2, max: 20, value: 12 }, draw);
    const width = nnlab.slider(root, { label: "width m", min: 2, max: 8, value: 6, text: (k) => String(2 ** k) }, draw);
    const says = nnlab.says(root);

    function draw() {
      const [n, m] = [points.value, 2 ** width.value];
      const xs = nnlab.spaced(-1, 1, n);
      if (twice.checked) xs[n - 1] = xs[0];
      const H = kernel(drawn(m, biases.checked, seed), xs);
      const values = eigenvalues(H);
      const isZero = (v) => v <= SINGULAR * n * values[0];
      const rank = values.filter((v) => !isZero(v)).length;
      const largest = Math.max(...H.flat().map(Math.abs));
      const { svg, cell, top } = nnlab.sheet(image, { title: `H, ${n} × ${n}`, columns: n, rows: n, most: 380 });
      nnlab.pixels(svg, n, n, (r, c) => nnlab.signed(H[r][c] / largest), { x: 0, y: top, width: n * cell });
      const low = values[0] * 1e-17;
      const axes = nnlab.axes(spectrum, { x: [0.5, n + 0.5], y: [low, values[0] * 5], yLog: true, xLabel: "i", yLabel: "eigenvalue λᵢ of H", ratio: 1.2, label: `eigenvalues of the kernel; rank ${rank} of ${n}` });
      values.forEach((v, i) => nnlab.dot(axes.svg, axes.x(i + 1), axes.y(Math.max(low, v)), { fill: isZero(v) ? nnlab.paint.negative : nnlab.paint.positive, hollow: isZero(v), r: 0.3 * axes.unit }));
      const p = m + m * m + m + (biases.checked ? 2 * m : 0);
      says(`p = ${nnlab.number(p)} weights, n = ${n} points: H has the rank ${rank}. `
        + (rank === n ? "It is positive definite." : !biases.checked ? "Without biases the network is linear on each side of 0: rank 2, however many weights." : twice.checked ? "A point that is given twice makes two rows equal." : "Too few units for so many points."));
    }
    draw();
    return draw;
  });

  nnlab.rank = { drawn, kernel, eigenvalues };
})();
