"use strict";
// The mathematics of the figures of this chapter, without drawing.
nnlab.classification = (() => {
  const sum = (values) => values.reduce((total, value) => total + value, 0);
  const dot = (u, v) => sum(u.map((a, i) => a * v[i]));

  /** Scores Wx + b. */
  const scores = (W, x, b = W.map(() => 0)) => W.map((row, k) => dot(row, x) + b[k]);

  /** Probabilities e^{s_k}/Σ e^{s_j}; the largest score is taken off first, which changes nothing and cannot overflow. */
  const softmax = (s) => {
    const top = Math.max(...s);
    const powers = s.map((value) => Math.exp(value - top));
    return powers.map((value) => value / sum(powers));
  };

  /** H(P, Q) = −Σ P log Q, where 0 log 0 = 0. */
  const crossEntropy = (p, q) => sum(p.map((a, i) => (a === 0 ? 0 : -a * Math.log(q[i]))));

  /** H(P) = −Σ P log P. */
  const entropy = (p) => crossEntropy(p, p);

  /** D(P‖Q) = Σ P log(P/Q). */
  const divergence = (p, q) => sum(p.map((a, i) => (a === 0 ? 0 : a * Math.log(a / q[i]))));

  /** A distribution with one probability set; the others keep their proportions. */
  const withProbability = (p, k, value) => {
    const rest = 1 - p[k];
    return p.map((a, i) => (i === k ? value : rest > 1e-9 ? (a * (1 - value)) / rest : (1 - value) / (p.length - 1)));
  };

  // --- two weights: quadratic losses ½(w − c)ᵀA(w − c), A = [[a, b], [b, d]] ---------------------------

  /** Eigenvalues of A, the largest first, and the direction of the first. */
  const eigen = ([[a, b], [, d]]) => {
    const [middle, half] = [(a + d) / 2, Math.hypot((a - d) / 2, b)];
    const angle = Math.atan2(2 * b, a - d) / 2;
    return { values: [middle + half, middle - half], direction: [Math.cos(angle), Math.sin(angle)] };
  };

  const times = ([[a, b], [c, d]], [u, v]) => [a * u + b * v, c * u + d * v];
  const quadratic = (A, centre, w) => {
    const off = [w[0] - centre[0], w[1] - centre[1]];
    return dot(off, times(A, off)) / 2;
  };

  /** The points where the quadratic loss has a value: an ellipse. */
  const contour = (A, centre, level, count = 120) => {
    const { values: [large, small], direction: [x, y] } = eigen(A);
    return Array.from({ length: count + 1 }, (_, i) => {
      const angle = (2 * Math.PI * i) / count;
      const [u, v] = [Math.sqrt((2 * level) / large) * Math.cos(angle), Math.sqrt((2 * level) / small) * Math.sin(angle)];
      return [centre[0] + u * x - v * y, centre[1] + u * y + v * x];
    });
  };

  /** The parts of a penalty Σ (square·w² + size·|w|). */
  const parts = (name, beta) => ({ l2: [1, 0], l1: [0, 1], elastic_net: [beta, 1] })[name];

  /** R(w) of a penalty. */
  const penalty = (name, beta, w) => {
    const [square, size] = parts(name, beta);
    return sum(w.map((v) => square * v * v + size * Math.abs(v)));
  };

  /** The points where R(w) has a value. */
  const ball = (name, beta, value, count = 240) => {
    const [square, size] = parts(name, beta);
    return Array.from({ length: count + 1 }, (_, i) => {
      const angle = (2 * Math.PI * i) / count;
      const [x, y] = [Math.cos(angle), Math.sin(angle)];
      const across = size * (Math.abs(x) + Math.abs(y)); // square·r² + across·r = value
      const r = value <= 0 ? 0 : (2 * value) / (across + Math.sqrt(across * across + 4 * square * value));
      return [r * x, r * y];
    });
  };

  /** argmin of the quadratic loss + λR(w), one weight after the other: each has a closed form given the other. */
  const minimizer = (A, centre, name, lambda, beta) => {
    const [square, size] = parts(name, beta);
    const target = times(A, centre);
    const w = [...centre];
    for (let round = 0; round < 500; round++) {
      const before = [...w];
      for (const i of [0, 1]) {
        const pull = target[i] - A[i][1 - i] * w[1 - i];
        w[i] = (Math.sign(pull) * Math.max(0, Math.abs(pull) - lambda * size)) / (A[i][i] + 2 * lambda * square);
      }
      if (Math.hypot(w[0] - before[0], w[1] - before[1]) < 1e-13) break;
    }
    return w;
  };

  // --- gradient descent on the squares of N examples with two features: (1/2N) Σ (wᵀxᵢ − yᵢ)² ------------

  /** The matrix XᵀX/N of examples. */
  const hessian = (xs) => [0, 1].map((i) => [0, 1].map((j) => sum(xs.map((x) => x[i] * x[j])) / xs.length));

  /** The mean gradient of the examples with these indices. */
  const gradient = (xs, ys, w, chosen) => {
    const errors = chosen.map((i) => dot(xs[i], w) - ys[i]);
    return [0, 1].map((j) => sum(chosen.map((i, k) => errors[k] * xs[i][j])) / chosen.length);
  };

  /** Mini-batches of one epoch after the other, drawn without replacement: an endless row of index lists. */
  function* batches(count, size, seed) {
    const next = nnlab.random(seed).uniform;
    for (;;) {
      const order = Array.from({ length: count }, (_, i) => i);
      if (size < count) {
        for (let i = count - 1; i > 0; i--) {
          const j = Math.floor(next() * (i + 1));
          [order[i], order[j]] = [order[j], order[i]];
        }
      }
      for (let i = 0; i + size <= count; i += size) yield order.slice(i, i + size);
    }
  }

  /** The weights over so many steps of (mini-batch) gradient descent, the start first. */
  const descend = (xs, ys, { start, rate, steps, size, seed = 1 }) => {
    const path = [start];
    const rows = batches(xs.length, size, seed);
    for (let k = 0; k < steps; k++) {
      const w = path[k];
      const g = gradient(xs, ys, w, rows.next().value);
      const next = [w[0] - rate * g[0], w[1] - rate * g[1]];
      if (!next.every((v) => Math.abs(v) < 1e6)) break; // it has left
      path.push(next);
    }
    return path;
  };

  // --- networks --------------------------------------------------------------------------------------

  /** The values of all layers of a network without biases, the inputs first; the scores have no activation. */
  const forward = (weights, x, activation = (z) => Math.max(0, z)) => weights.reduce((layers, W, l) => {
    const z = scores(W, layers[l]);
    return [...layers, l < weights.length - 1 ? z.map(activation) : z];
  }, [x]);

  /** The two lines of the maxout unit that is drawn beside the other activations: [w, b]. */
  const LINES = [[-0.5, -0.25], [1, -0.5]];
  const sigmoid = (z) => 1 / (1 + Math.exp(-z));
  const largest = (z, lines = LINES) => lines.reduce((best, line) => (line[0] * z + line[1] > best[0] * z + best[1] ? line : best));

  /** name -> [φ(z), φ′(z)]; at a kink the slope to its left. */
  const activations = {
    sigmoid: (z) => [sigmoid(z), sigmoid(z) * (1 - sigmoid(z))],
    tanh: (z) => [Math.tanh(z), 1 - Math.tanh(z) ** 2],
    relu: (z) => [Math.max(0, z), z > 0 ? 1 : 0],
    leaky_relu: (z) => [Math.max(0.01 * z, z), z > 0 ? 1 : 0.01],
    maxout: (z) => [largest(z)[0] * z + largest(z)[1], largest(z)[0]],
    elu: (z) => [z > 0 ? z : Math.expm1(z), z > 0 ? 1 : Math.exp(z)],
  };

  /** The k lines whose maximum comes nearest to x² on [0, 1]: tangents, raised by half of their largest error. */
  const bestLines = (k) => Array.from({ length: k }, (_, j) => {
    const c = (2 * j + 1) / (2 * k);
    return [2 * c, -c * c + 1 / (8 * k * k)];
  });

  /** sup |x² − max(wx + b)| on [0, 1], on a grid. */
  const error = (lines, count = 2000) => Math.max(...Array.from({ length: count + 1 }, (_, i) => {
    const x = i / count;
    const [w, b] = largest(x, lines);
    return Math.abs(x * x - (w * x + b));
  }));

  /** Axes of a plane in which both directions have the same scale; `x` and `y` is what has to be seen. */
  const plane = (panel, { x: xs, y: ys, ...more }) => {
    const { box } = nnlab.axes(panel, { x: xs, y: ys, ...more });
    const size = Math.max((xs[1] - xs[0]) / (box.right - box.left), (ys[1] - ys[0]) / (box.bottom - box.top)); // of a pixel
    const wide = ([low, high], pixels) => [(low + high - size * pixels) / 2, (low + high + size * pixels) / 2];
    return nnlab.axes(panel, { ...more, x: wide(xs, box.right - box.left), y: wide(ys, box.bottom - box.top) });
  };

  /** Cuts what lies outside of the axes; returns a group to draw in. */
  const inside = ({ svg, box }) => {
    const id = `inside${(inside.count = (inside.count ?? 0) + 1)}`;
    const clip = nnlab.svg("clipPath", { id }, svg);
    nnlab.svg("rect", { x: box.left, y: box.top, width: box.right - box.left, height: box.bottom - box.top }, clip);
    return nnlab.svg("g", { "clip-path": `url(#${id})` }, svg);
  };

  return {
    scores, softmax, crossEntropy, entropy, divergence, withProbability, eigen, quadratic, contour, penalty, ball, minimizer,
    hessian, gradient, batches, descend, forward, activations, largest, bestLines, error, plane, inside, LINES,
  };
})();
